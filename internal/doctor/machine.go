package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/beevik/ntp"

	"github.com/exeunt/exeunt/internal/store"
)

// folder looks at the data folder and its disk.
func (e *examination) folder() {
	const check = "folder"
	dir := e.Config.Data
	if _, err := os.Stat(dir); err != nil {
		remedy := "Start a node with this configuration first, or name the right one with --config."
		if !errors.Is(err, fs.ErrNotExist) {
			remedy = "Run this as the node's user, or as root."
		}
		e.fault(check, remedy, "the data folder cannot be read: %v", err)
		return
	}
	if err := store.OnlyOwner(dir); err != nil {
		e.fault(check, "Run chmod 700 on it, and find out who has read it.", "%v", err)
	}
	switch d, err := diskOf(dir); {
	case err != nil:
		e.fault(check, "Find out what is wrong with its disk; the kernel's log may say.", "its disk does not answer: %v", err)
		return
	case d.volatile != "":
		e.fault(check, "Move it to a local disk.", "the data folder is on %s", d.volatile)
	case d.free < e.Free:
		e.fault("disk", "Free some space: on a full disk nobody can sign in or out. `--free` changes how much must be free.",
			"%s of %s are free", bytes(d.free), bytes(d.size))
	case d.files < 1000:
		e.fault("disk", "Remove files that nobody needs.", "only %d more files can be made", d.files)
	default:
		e.ok("disk", "%s are free", bytes(d.free))
	}
	if took, err := syncs(dir); err != nil {
		e.fault("disk", "Give the folder to the node's user, and find out what is wrong with its disk.", "a file cannot be written and synced there: %v", err)
	} else if took > time.Second {
		e.warn("disk", "Every sign-in and sign-out of a file's database waits for that: use a faster disk.", "a sync takes %v", took.Round(time.Millisecond))
	}
}

// disk is what is to be known of a folder's disk.
type disk struct {
	free, size uint64 // bytes
	files      uint64 // that can still be made
	volatile   string // why it does not keep what is synced to it; "" if it does
}

func bytes(n uint64) string {
	const unit = 1000
	size, names := float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB"}
	i := 0
	for ; size >= unit && i < len(names)-1; i++ {
		size /= unit
	}
	return fmt.Sprintf("%.3g %s", size, names[i])
}

// syncs returns how long it takes until a small file is on the disk.
func syncs(dir string) (took time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	begun := time.Now()
	_, err = f.Write(make([]byte, 4096))
	err = errors.Join(err, f.Sync())
	return time.Since(begun), errors.Join(err, f.Close())
}

// skew is how far clocks may be apart: codes of authenticator apps and other programs' tokens allow little more.
const skew = 2 * time.Second

// clock compares this machine's clock with others.
func (e *examination) clock() {
	const check, remedy = "clock", "Have the clock set by the network: install and enable chrony or systemd-timesyncd."
	found := false
	if e.TimeServer != "" {
		found = true
		answer, err := ntp.QueryWithOptions(e.TimeServer, ntp.QueryOptions{Timeout: 5 * time.Second})
		if err == nil {
			err = answer.Validate()
		}
		switch {
		case err != nil:
			e.warn(check, "Name a time server that this machine reaches with --time-server.", "%s does not tell the time: %v", e.TimeServer, err)
		case answer.ClockOffset.Abs() > skew:
			e.fault(check, remedy, "this machine's clock is off by %v, says %s", (-answer.ClockOffset).Round(time.Millisecond), e.TimeServer)
		default:
			e.ok(check, "the clock is right to %v, says %s", answer.ClockOffset.Abs().Round(time.Millisecond), e.TimeServer)
		}
	}
	if found {
		return
	}
	switch set, known := setByNetwork(); {
	case !known: // as in some containers
	case !set:
		e.warn(check, remedy+" Or ask a time server: --time-server HOST.", "the kernel does not know of anything that sets this machine's clock")
	default:
		e.ok(check, "the clock is set by the network")
	}
}
