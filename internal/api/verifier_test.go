package api

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
)

func TestEcho(t *testing.T) {
	s := newSite(t)
	key := s.Keys[testnode.Chirp].Reveal()
	_, session := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindKept)
	s.SignOut(t, session) // the third event, after those of the two clients
	here := s.Feed.Position()
	for place, history := range map[string]client.History{
		`"epoch":"` + here.Epoch + `","seq":3,"digest":"` + here.Digest + `"`: client.HistorySame,
		`"epoch":"` + here.Epoch + `","seq":0`:                                client.HistorySame,
		// for all that is known here
		`"epoch":"` + here.Epoch + `","seq":4,"digest":"of_another_node"`:  client.HistorySame,
		`"epoch":"` + here.Epoch + `","seq":3,"digest":"of_another_event"`: client.HistoryReload,
		`"epoch":"` + here.Epoch + `","seq":0,"digest":"of_another_event"`: client.HistoryReload,
		`"epoch":"another","seq":3,"digest":"` + here.Digest + `"`:         client.HistoryReload,
	} {
		var p client.Echoed
		s.call(t, http.MethodPost, "/api/v1/events/echo", key, `{"nonce":"n1",`+place+`}`, &p)
		if p.Seq != 3 || p.Epoch != here.Epoch || p.Digest != here.Digest || p.Digest == "" || p.Nonce != "n1" ||
			p.Age != 0 || p.Now == 0 || p.History != history {
			t.Errorf("%s: %+v", place, p)
		}
	}
}

func TestVerifierCallsNeedAKey(t *testing.T) {
	s := newSite(t)
	phone, _ := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindApp)
	for _, token := range []string{"", phone.Reveal(), exeunt.NewToken(exeunt.UseClient).Reveal()} {
		s.problem(t, 401, "client_key", http.MethodPost, "/api/v1/events/echo", token,
			`{"nonce":"n","epoch":"e","seq":0}`)
		s.problem(t, 401, "client_key", http.MethodPost, "/api/v1/activity", token,
			note(t, client.SeenAt{Token: phone.Hash().String()}))
	}
	// And a key is no credential of a person.
	s.problem(t, 401, "signed_out", http.MethodGet, "/api/v1/session", s.Keys[testnode.Chirp].Reveal(), "")
}

func note(t *testing.T, seen ...client.SeenAt) string {
	t.Helper()
	b, err := json.Marshal(client.ActivityNote{Seen: seen})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNotedActivityKeepsASessionAwake(t *testing.T) {
	s := newSite(t)
	proof := s.NewAccount(t, "ada")
	_, browser := s.NewSession(t, proof, exeunt.KindShared)
	token, _ := s.NewAppSession(t, browser, testnode.Chirp)
	foreign, _ := s.NewAppSession(t, browser, testnode.Other)
	phone, _ := s.NewSession(t, proof, exeunt.KindApp)
	_, gone := s.NewSession(t, proof, exeunt.KindKept)
	dead, _ := s.NewAppSession(t, gone, testnode.Chirp)
	s.SignOut(t, gone)
	begun := s.Now()
	s.Clock.Pass(10 * time.Minute)
	at := begun.Add(8 * time.Minute)
	tell := func(at time.Time) client.ActivityNoted {
		var out client.ActivityNoted
		var seen []client.SeenAt
		for _, tok := range []exeunt.Token{token, foreign, phone, dead, exeunt.NewToken(exeunt.UseApp)} {
			seen = append(seen, client.SeenAt{Token: tok.Hash().String(), Ago: s.Now().Sub(at).Milliseconds()})
		}
		s.call(t, http.MethodPost, "/api/v1/activity", s.Keys[testnode.Chirp].Reveal(), note(t, seen...), &out)
		return out
	}
	if out := tell(at); len(out.Dead) != 4 {
		t.Errorf("%d are dead or not Chirp's", len(out.Dead))
	}
	if got := s.Check(t.Context(), token).IdleAt(); got.Sub(at.Add(15*time.Minute)).Abs() > time.Second {
		t.Errorf("idle at %v after activity at %v", got, at)
	}
	if got := s.Check(t.Context(), phone).IdleAt(); got.Before(begun.Add(30*24*time.Hour-time.Minute)) ||
		got.After(begun.Add(30*24*time.Hour+time.Minute)) {
		t.Errorf("the phone's session was kept awake by an app: %v", got)
	}
	for _, ago := range []int64{-1, -1 << 62} {
		s.problem(t, 422, "bad_request", http.MethodPost, "/api/v1/activity", s.Keys[testnode.Chirp].Reveal(),
			note(t, client.SeenAt{Token: token.Hash().String(), Ago: ago}))
	}
	var out client.ActivityNoted
	s.call(t, http.MethodPost, "/api/v1/activity", s.Keys[testnode.Chirp].Reveal(),
		note(t, client.SeenAt{Token: token.Hash().String(), Ago: 1<<63 - 1}), &out)
	if got := s.Check(t.Context(), token).IdleAt(); got.Sub(at.Add(15*time.Minute)).Abs() > time.Second ||
		len(out.Dead) != 0 {
		t.Errorf("idle at %v after activity long ago", got)
	}
	s.Clock.Pass(16 * time.Minute)
	if out := tell(s.Now()); len(out.Dead) != 5 || s.Check(t.Context(), token).Usable() {
		t.Error("a session whose time has run out was brought back")
	}
	s.problem(t, 422, "bad_request", http.MethodPost, "/api/v1/activity", s.Keys[testnode.Chirp].Reveal(),
		`{"seen":[]}`)
}
