//go:build !amd64

package client

import "unsafe"

func prefetch(unsafe.Pointer) {}
