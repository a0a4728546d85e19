//go:build !linux

package feed

// awake cannot notice here that the machine was suspended, so a node must not be suspended while it serves.
type awake struct{}

func newAwake() *awake { return &awake{} }

func (*awake) slept() bool { return false }
