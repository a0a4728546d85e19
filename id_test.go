package exeunt

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestIDsReadBack(t *testing.T) {
	for range 200 {
		id := NewSessionID()
		text := id.String()
		back, err := ParseSessionID(text)
		if err != nil || back != id || len(text) != 30 || !strings.HasPrefix(text, "ses_") {
			t.Fatalf("ParseSessionID(%q) = %v, %v", text, back, err)
		}
		var scanned SessionID
		if err := scanned.Scan(id.Bytes()); err != nil || scanned != id {
			t.Fatalf("Scan(Bytes) = %v, %v", scanned, err)
		}
		j, err := json.Marshal(id)
		if err != nil || string(j) != `"`+text+`"` {
			t.Fatalf("JSON is %s, %v", j, err)
		}
	}
}

func TestIDsOfOtherKindsAndShapesAreRefused(t *testing.T) {
	id := NewSessionID().String()
	for _, s := range []string{"", "ses_", id[:29], id + "a", strings.ToUpper(id), NewAccountID().String(),
		NewAppSessionID().String(), id[4:], "ses_" + strings.Repeat("1", 26), "ses_" + strings.Repeat("a", 25) + "b",
		" " + id, id + "\n"} {
		if got, err := ParseSessionID(s); err == nil || !got.IsZero() {
			t.Errorf("ParseSessionID(%q) = %v, %v", s, got, err)
		}
	}
	var a AccountID
	if err := a.UnmarshalText(nil); err != nil || !a.IsZero() || a.String() != "" || a.Bytes() != nil {
		t.Errorf("the empty text is not the zero ID: %v, %v", a, err)
	}
	for _, src := range []any{"sixteen bytes of", []byte("short"), int64(4)} {
		if err := a.Scan(src); err == nil {
			t.Errorf("Scan(%T %v) was accepted", src, src)
		}
	}
	if err := a.Scan(nil); err != nil || !a.IsZero() {
		t.Errorf("Scan(NULL) = %v, %v", a, err)
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"", "ses_", NewSessionID().String(), NewAccountID().String(),
		"ses_" + strings.Repeat("a", 26), "ses_" + strings.Repeat("7", 26), "ses_\n" + strings.Repeat("a", 25)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseSessionID(s); err == nil && id.String() != s {
			t.Fatalf("%q has another spelling: %q", s, id)
		} else if err != nil && !id.IsZero() {
			t.Fatalf("%q: refused, but gave %v", s, id)
		}
		a, errA := ParseAccountID(s)
		p, errP := ParseAppSessionID(s)
		if errA == nil && a.String() != s || errP == nil && p.String() != s || errA == nil && errP == nil {
			t.Fatalf("%q: %v %v, %v %v", s, a, errA, p, errP)
		}
	})
}
