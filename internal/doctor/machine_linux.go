package doctor

import "golang.org/x/sys/unix"

func diskOf(dir string) (d disk, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return d, err
	}
	d = disk{free: s.Bavail * uint64(s.Bsize), size: s.Blocks * uint64(s.Bsize), files: s.Ffree}
	if s.Files == 0 { // no limit
		d.files = 1 << 62
	}
	switch int64(s.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		d.volatile = "a file system in memory, which forgets everything at a restart"
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		d.volatile = "a network's file system, on which write-ahead logs and locks are not reliable"
	}
	return d, nil
}

// setByNetwork reports whether the kernel knows that something sets the clock.
func setByNetwork() (set, known bool) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, err == nil
}
