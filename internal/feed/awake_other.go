//go:build !linux

package feed

// awake would notice that the machine was suspended. Here nothing tells, so a
// node must not be suspended and woken while it serves.
type awake struct{}

func newAwake() *awake { return &awake{} }

func (*awake) slept() bool { return false }
