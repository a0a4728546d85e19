package app

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// links is how many names a file has.
func links(f *os.File) (uint32, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_NLINK, &st); err != nil {
		return 0, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return st.Nlink, nil
}

// fileIdentity identifies a file by its number and its birth: a copy has another number, or was born later. The
// device is left out, because it may be numbered differently after the machine starts.
func fileIdentity(f *os.File) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return "", fmt.Errorf("%s: %w", f.Name(), err)
	}
	if st.Mask&unix.STATX_BTIME == 0 {
		st.Btime = unix.StatxTimestamp{} // the file system does not record it
	}
	return fmt.Sprintf("%d %d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec), nil
}
