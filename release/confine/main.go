// Command confine runs a program under the system calls that a systemd unit allows, where there is no systemd to do it.
//
//	confine UNIT SETS PROGRAM ARGUMENT…
//
// SETS is what `systemd-analyze syscall-filter` prints. It owns the filter of system calls, the families of addresses and
// that no memory is both written and run. Users, capabilities and what is mounted are its caller's.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "confine:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("usage: confine UNIT SETS PROGRAM ARGUMENT…")
	}
	unit, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	sets, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	filter, err := filterOf(string(unit), string(sets))
	if err != nil {
		return err
	}
	if err := seccomp.LoadFilter(filter); err != nil {
		return fmt.Errorf("the filter of system calls: %w", err)
	}
	return fmt.Errorf("%s: %w", args[2], syscall.Exec(args[2], args[2:], os.Environ()))
}

// filterOf makes a filter of a unit's settings.
func filterOf(unit, sets string) (seccomp.Filter, error) {
	known, err := arch.GetInfo("")
	if err != nil {
		return seccomp.Filter{}, err
	}
	var allowed []string
	lines := values(unit, "SystemCallFilter")
	if len(lines) == 0 {
		return seccomp.Filter{}, fmt.Errorf("the unit has no SystemCallFilter")
	}
	for _, line := range lines {
		rest, not := strings.CutPrefix(line, "~")
		for _, name := range strings.Fields(rest) {
			calls := expand(sets, name)
			if len(calls) == 0 {
				return seccomp.Filter{}, fmt.Errorf("%s has no system calls", name)
			}
			if not {
				allowed = slices.DeleteFunc(allowed, func(call string) bool { return slices.Contains(calls, call) })
			} else {
				allowed = append(allowed, calls...)
			}
		}
	}
	if len(values(unit, "SystemCallFilter")) > 0 {
		allowed = append(allowed, expand(sets, "@default")...) // which an allow list always has
	}
	slices.Sort(allowed)
	allowed = slices.DeleteFunc(slices.Compact(allowed), func(call string) bool {
		_, ok := known.SyscallNames[call]
		return !ok || call == "socket" || call == "mmap" || call == "mprotect" || call == "pkey_mprotect"
	})
	groups := []seccomp.SyscallGroup{{Names: allowed, Action: seccomp.ActionAllow}}
	var families []seccomp.NameWithConditions
	for _, name := range strings.Fields(strings.Join(values(unit, "RestrictAddressFamilies"), " ")) {
		number, ok := map[string]uint64{"AF_UNIX": syscall.AF_UNIX, "AF_INET": syscall.AF_INET, "AF_INET6": syscall.AF_INET6}[name]
		if !ok {
			return seccomp.Filter{}, fmt.Errorf("family %s is not known here", name)
		}
		families = append(families, seccomp.NameWithConditions{Name: "socket",
			Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: number}}})
	}
	groups = append(groups, seccomp.SyscallGroup{NamesWithCondtions: families, Action: seccomp.ActionAllow})
	var memory []seccomp.NameWithConditions
	if slices.Contains(values(unit, "MemoryDenyWriteExecute"), "yes") {
		for call, masks := range map[string][]uint64{"mmap": {syscall.PROT_EXEC, syscall.PROT_WRITE}, "mprotect": {syscall.PROT_EXEC}} {
			for _, mask := range masks { // it lacks at least one of these
				memory = append(memory, seccomp.NameWithConditions{Name: call,
					Conditions: seccomp.ArgumentConditions{{Argument: 2, Operation: seccomp.BitsNotSet, Value: mask}}})
			}
		}
	}
	groups = append(groups, seccomp.SyscallGroup{NamesWithCondtions: memory, Action: seccomp.ActionAllow})
	return seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{DefaultAction: seccomp.ActionErrno, Syscalls: groups}}, nil
}

// values are what a unit sets a setting to, in order.
func values(unit, setting string) (out []string) {
	for _, line := range strings.Split(unit, "\n") {
		if value, ok := strings.CutPrefix(line, setting+"="); ok {
			out = append(out, value)
		}
	}
	return out
}

// expand returns the system calls of a set, or the call itself.
func expand(sets, name string) (out []string) {
	if !strings.HasPrefix(name, "@") {
		return []string{name}
	}
	in := false
	for _, line := range strings.Split(sets, "\n") {
		word := strings.TrimSpace(line)
		switch {
		case word == name && !strings.HasPrefix(line, " "):
			in = true
		case in && line == "":
			return out
		case in && word != "" && word[0] != '#' && strings.HasPrefix(line, " "):
			out = append(out, expand(sets, word)...)
		case in && !strings.HasPrefix(line, " "):
			return out
		}
	}
	return out
}
