package main

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/elastic/go-seccomp-bpf"
)

// The unit's filter allows what a server needs, and not what is root's.
func TestFilterOfTheUnit(t *testing.T) {
	unit, err := os.ReadFile("../../deploy/package/exeunt.service")
	if err != nil {
		t.Fatal(err)
	}
	sets, err := exec.Command("systemd-analyze", "syscall-filter").Output()
	if err != nil {
		t.Fatalf("systemd-analyze (is it installed?): %v", err)
	}
	f, err := filterOf(string(unit), string(sets))
	if err != nil {
		t.Fatal(err)
	}
	allowed := f.Policy.Syscalls[0].Names
	for _, call := range []string{"read", "futex", "execve", "listen", "fsync"} {
		if !slices.Contains(allowed, call) {
			t.Errorf("%s is not allowed", call)
		}
	}
	for _, call := range []string{"mount", "ptrace", "chown", "setuid", "bpf", "setpriority", "socket", "mmap", "reboot"} {
		if slices.Contains(allowed, call) {
			t.Errorf("%s is allowed whatever its arguments", call)
		}
	}
	if f.Policy.DefaultAction != seccomp.ActionErrno || len(f.Policy.Syscalls[1].NamesWithCondtions) != 3 {
		t.Errorf("the rest of the filter is %+v", f.Policy)
	}
	if _, err := f.Policy.Assemble(); err != nil {
		t.Error(err)
	}
}
