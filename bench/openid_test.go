package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMain makes the tests' program the load generator or another helper when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && helpers[os.Args[1]] != nil {
		if err := helpers[os.Args[1]](os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// A short run of what apps of OpenID Connect do: every answer is a good one, and every delivery is confirmed once.
func TestOpenID(t *testing.T) {
	b := &bench{report: &report{}}
	var err error
	if b.node, b.proof, err = openNode(t.Context(), filepath.Join(t.TempDir(), "node"), ""); err != nil {
		t.Fatal(err)
	}
	defer b.node.Close()
	if err := b.tokensOf(t.Context(), 1, 20, tokenRows{"ES256", rowCodeES256, rowRefreshES256}); err != nil {
		t.Error("tokens:", err)
	}
	if err := b.deliveriesOf(t.Context(), 1, 2, 4, "ES256", rowDeliverES256); err != nil {
		t.Error("deliveries:", err)
	}
	if err := b.introspectionOf(t.Context(), 1, 20, 10*time.Millisecond); err != nil {
		t.Error("introspection:", err)
	}
	for _, row := range []string{rowCodeES256, rowRefreshES256, rowDeliverES256, rowIntrospect, rowUserInfo} {
		if f := b.figure(rowNamed(t, row)); f.judged <= 0 || f.limit == "" {
			t.Errorf("%s: %+v", row, f)
		}
	}
}

func rowNamed(t *testing.T, name string) row {
	t.Helper()
	for _, w := range rows {
		if w.name == name {
			return w
		}
	}
	t.Fatalf("no row is called %q", name)
	return row{}
}

func TestIsWhole(t *testing.T) {
	for answer, want := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n":                                  false,
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":                              true,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\n\r\n{":                  false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: x\r\n\r\n{}":                 true,
		"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n":                                true,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n":                     false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n":          false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n": true,
	} {
		if isWhole([]byte(answer)) != want {
			t.Errorf("%q: not %v", answer, want)
		}
	}
}
