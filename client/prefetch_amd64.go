package client

import "unsafe"

// prefetch has the processor fetch a cache line, and goes on. It is advice: it
// changes nothing but time.
//
//go:noescape
func prefetch(p unsafe.Pointer)
