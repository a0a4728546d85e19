package live

import (
	"syscall"
	"unsafe"
)

// hint asks for large pages under a slab. A check looks at a random place of
// it, and with small pages has to look up where that is as well, which costs as
// much again. It is advice: where it is not taken, nothing else changes.
func hint(slab []byte) {
	const page = 1 << 12
	if len(slab) < 1<<21 {
		return
	}
	skip := -uintptr(unsafe.Pointer(&slab[0])) % page
	slab = slab[skip:]
	_ = syscall.Madvise(slab[:len(slab)/page*page], syscall.MADV_HUGEPAGE)
}
