//go:build !amd64

package prefetch

import "unsafe"

// Line does nothing.
func Line(unsafe.Pointer) {}
