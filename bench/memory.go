package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/exeunt/exeunt/internal/live"
)

// memory measures what a session takes of the heap, in a table that has grown
// and has had holes.
func (b *bench) memory(context.Context, int) error {
	before := heap()
	index := live.New(0, live.Options{})
	if _, err := crowd(index, b.sessions, true); err != nil {
		return err
	}
	each := float64(heap()-before) / float64(index.Len())
	runtime.KeepAlive(index)
	row := rowBytes1M
	if b.sessions > million {
		row = rowBytes10M
	}
	b.add(figure{row: row, value: fmt.Sprintf("%.1f bytes", each), judged: each})
	return nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
