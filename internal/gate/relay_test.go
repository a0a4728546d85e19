package gate

import (
	"bytes"
	"testing"
)

// What passed through a buffer does not lie in it until the next answer.
func TestBuffersKeepNoCopy(t *testing.T) {
	var b buffers
	one := b.Get()
	if len(one) != bufferSize {
		t.Fatalf("%d bytes", len(one))
	}
	copy(one, "what Ada reads")
	b.Put(one)
	if !bytes.Equal(one, make([]byte, bufferSize)) {
		t.Errorf("the buffer holds %q", bytes.TrimRight(one, "\x00"))
	}
}
