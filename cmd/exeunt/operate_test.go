package main

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/exeunt/exeunt/internal/control"
)

// output returns what f prints.
func output(t *testing.T, f func() error) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = before }()
	done := make(chan string)
	go func() { all, _ := io.ReadAll(r); done <- string(all) }()
	if err := f(); err != nil {
		t.Error(err)
	}
	w.Close()
	return <-done
}

// A list is printed to its end, also past a page that has nothing on it, and not
// beyond the limit.
func TestListsArePrintedToTheirEnd(t *testing.T) {
	dir, err := os.MkdirTemp("", "exeunt-list-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, err := control.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]control.Page[string]{
		"": {Next: "1", Total: 5}, "1": {Items: []string{"a", "b"}, Next: "2"}, "2": {Next: "3"},
		"3": {Items: []string{"c", "d"}, Next: "4"}, "4": {Items: []string{"e"}},
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := pages[r.FormValue("after")]
		if r.FormValue("limit") == "1" {
			p.Items = p.Items[:min(1, len(p.Items))]
		}
		json.NewEncoder(w).Encode(p)
	})}
	go server.Serve(socket)
	defer server.Close()
	printed := func(limit int, asJSON bool) string {
		c := &listing{operate{Data: dir, JSON: asJSON}, limit}
		return output(t, func() error {
			return list(t.Context(), c, "/x", url.Values{}, "LETTER", func(w io.Writer, s string) { io.WriteString(w, s+"\n") })
		})
	}
	for limit, want := range map[int]string{0: "a b c d e Total: 5", 2: "a b Shown: 2 of 5", 3: "a b c Shown: 3 of 5"} {
		if got := strings.Join(strings.Fields(printed(limit, false)), " "); got != "LETTER "+want {
			t.Errorf("with limit %d: %q", limit, got)
		}
		var got control.Page[string]
		err := json.Unmarshal([]byte(printed(limit, true)), &got)
		letters := strings.Join(got.Items, " ")
		if err != nil || got.Total != 5 || len(got.Items) != cmp.Or(limit, 5) || !strings.HasPrefix(want, letters+" ") {
			t.Errorf("with limit %d: %+v, %v", limit, got, err)
		}
	}
}
