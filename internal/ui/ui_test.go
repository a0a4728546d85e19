package ui

import (
	"bytes"
	"testing"
)

func rendered(t *testing.T, u *UI, v View) string {
	t.Helper()
	var b bytes.Buffer
	if err := u.Render(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEveryStateOfEveryPageRenders(t *testing.T) {
	u, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for name, view := range states() {
		t.Run(name, func(t *testing.T) { rendered(t, u, view) })
	}
}
