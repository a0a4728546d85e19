package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
)

// Whoever ends something is told where the receipt of it is, the same again if they ask again, unless they are on a
// shared computer.
func TestEndingsHaveReceipts(t *testing.T) {
	s := newSite(t)
	s.NewAccount(t, "ada")
	token, _ := s.signed(t, "ada")
	is := func(what, address, reason string) {
		t.Helper()
		handle, ok := strings.CutPrefix(address, "https://id.example.com/receipts/")
		seq, at, good := s.Receipts.Read(handle)
		if !ok || !good {
			t.Fatalf("%s: %q", what, address)
		}
		e, err := s.Ending(t.Context(), seq, at)
		if err != nil || string(e.Scope) != reason {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
	for _, path := range []string{"/api/v1/session", "/api/v1/sessions/{id}"} {
		if s.doc.at("paths", path, "delete", "responses", "204", "headers", client.HeaderReceipt, "schema") == nil {
			t.Errorf("%s does not describe the header", path)
		}
	}
	_, other := s.signed(t, "ada")
	w := s.call(t, http.MethodDelete, "/api/v1/sessions/"+other.ID, token, "", nil, "Idempotency-Key", "one")
	is("one", w.Header().Get(client.HeaderReceipt), "session")
	again := s.call(t, http.MethodDelete, "/api/v1/sessions/"+other.ID, token, "", nil, "Idempotency-Key", "one")
	if again.Header().Get(client.HeaderReceipt) != w.Header().Get(client.HeaderReceipt) {
		t.Errorf("again: %v", again.Header())
	}
	if w := s.call(t, http.MethodDelete, "/api/v1/sessions/"+other.ID, token, "", nil); w.Header()[client.HeaderReceipt] != nil {
		t.Errorf("what had ended before: %v", w.Header())
	}
	var out client.EndedCount
	s.call(t, http.MethodDelete, "/api/v1/sessions?scope=others", token, "", &out, "Idempotency-Key", "others")
	is("others", out.Receipt, "others")
	first := out
	s.call(t, http.MethodDelete, "/api/v1/sessions?scope=others", token, "", &out, "Idempotency-Key", "others")
	if out.Receipt != first.Receipt {
		t.Errorf("again: %+v", out)
	}
	token = string(out.Token)
	w = s.call(t, http.MethodDelete, "/api/v1/session", token, "", nil)
	is("the own one", w.Header().Get(client.HeaderReceipt), "session")
	if w := s.call(t, http.MethodDelete, "/api/v1/session", token, "", nil); w.Header()[client.HeaderReceipt] != nil {
		t.Errorf("a dead token is told more than that it is dead: %v", w.Header())
	}
	token, _ = s.signed(t, "ada")
	s.call(t, http.MethodDelete, "/api/v1/sessions?scope=account", token, "", &out)
	is("all", out.Receipt, "account")

	p := s.NewAccount(t, "grace")
	_, shared := s.NewSession(t, p, exeunt.KindShared)
	app, _ := s.NewAppSession(t, shared, testnode.Chirp)
	if w := s.call(t, http.MethodDelete, "/api/v1/session", app.Reveal(), "", nil); w.Code != http.StatusNoContent || w.Header()[client.HeaderReceipt] != nil {
		t.Errorf("on a shared computer: %d %v", w.Code, w.Header())
	}
	_, kept := s.NewSession(t, p, exeunt.KindKept)
	app, _ = s.NewAppSession(t, kept, testnode.Chirp)
	w = s.call(t, http.MethodDelete, "/api/v1/session", app.Reveal(), "", nil)
	is("an app's", w.Header().Get(client.HeaderReceipt), "session")
}
