package prefetch

import "unsafe"

// Line asks for the cache line at p, and does not wait for it.
//
//go:noescape
func Line(p unsafe.Pointer)
