package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what the figures were taken on.
type machine struct {
	cpu, kernel, goVersion string
	postgres, redis, disk  string // told by the parts that use them
}

func thisMachine() machine {
	m := machine{cpu: fmt.Sprintf("%d processors, %s", runtime.GOMAXPROCS(0), runtime.GOARCH), kernel: runtime.GOOS, goVersion: runtime.Version()}
	if model := cpuModel(); model != "" {
		m.cpu = fmt.Sprintf("%s, %s", model, m.cpu)
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	return m
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
