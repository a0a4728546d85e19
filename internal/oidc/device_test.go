package oidc

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
)

func (s *site) startDevice() answered {
	s.t.Helper()
	return s.post(Device, phone, url.Values{"scope": {"openid offline_access sesame"}})
}

func (s *site) poll(id exeunt.ClientID, code string) answered {
	s.t.Helper()
	s.Clock.Pass(oauth.DeviceInterval)
	return s.post(Token, id, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code}})
}

// visitor is the person in front of the browser.
func (s *site) visitor() authority.Answer {
	s.t.Helper()
	for {
		ans := s.Authority.Check(s.t.Context(), authority.Credential{Token: s.token, Use: authority.AsPair})
		if ans.State != authority.Indeterminate { // memory may be stale, on a shared database whose clock was set
			return ans
		}
	}
}

func (s *site) find(userCode string) oauth.Device {
	s.t.Helper()
	d, err := s.OAuth.FindDevice(s.t.Context(), s.visitor(), userCode)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// A device shows a code, waits until somebody has typed and allowed it, and gets a session of its own.
func TestDeviceGrant(t *testing.T) {
	onEachEngine(t, func(s *site) {
		t := s.t
		a := s.startDevice()
		a.is("start", http.StatusOK, "")
		code, typed := a.str("device_code"), a.str("user_code")
		if a.str("verification_uri") != testnode.Issuer+UserCode || a.body["interval"] != 5.0 || a.body["expires_in"] != 600.0 ||
			a.str("verification_uri_complete") != testnode.Issuer+UserCode+"?user_code="+typed || len(typed) != 9 {
			t.Errorf("%s", a.text)
		}
		s.poll(phone, code).is("before", http.StatusBadRequest, "authorization_pending")
		s.poll(testnode.Chirp, code).is("another client", http.StatusBadRequest, "unauthorized_client")
		s.poll(tv, code).is("another client for devices", http.StatusBadRequest, "invalid_grant")
		d := s.find(" " + typed[:4] + " " + typed[5:])
		if err := s.OAuth.AllowDevice(t.Context(), s.visitor(), s.token.Hash(), d); err != nil {
			t.Fatal(err)
		}
		if err := s.OAuth.AllowDevice(t.Context(), s.visitor(), s.token.Hash(), d); exeunt.CodeOf(err) != "user_code" {
			t.Errorf("allowed twice: %v", err)
		}
		got := s.poll(phone, code)
		got.is("after", http.StatusOK, "")
		if got.str("scope") != "openid offline_access" || got.str("id_token") == "" || got.str("refresh_token") == "" {
			t.Errorf("%s", got.text)
		}
		token, err := exeunt.ParseToken(got.str("access_token"))
		if err != nil {
			t.Fatal(err)
		}
		ans := s.Check(t.Context(), token)
		own, err := s.Authority.Session(t.Context(), ans.Account, ans.Session)
		if err != nil || own.Kind != exeunt.KindApp || own.ID == s.session.ID || own.Label != "Phone" {
			t.Errorf("%+v, %v", own, err)
		}
		s.SignOut(t, s.session)
		s.userInfo(got.str("access_token")).is("after the browser's sign-out", http.StatusOK, "")
		s.poll(phone, code).is("again", http.StatusBadRequest, "invalid_grant")
		s.userInfo(got.str("access_token")).is("what a code gave that came again", http.StatusUnauthorized, "invalid_token")
	})
}

// Whoever declines, waits too long, asks too often, or may not, gets nothing, and is told why (RFC 8628 section 3.5).
func TestDevicesThatGetNothing(t *testing.T) {
	onEachEngine(t, func(s *site) {
		t := s.t
		s.post(Device, testnode.Chirp, url.Values{}).is("no such client", http.StatusBadRequest, "unauthorized_client")
		s.post(Device, tv, url.Values{"client_id": {"nobody"}}).is("nobody", http.StatusUnauthorized, "invalid_client")
		a := s.startDevice()
		d := s.find(a.str("user_code"))
		if err := s.OAuth.DeclineDevice(t.Context(), s.visitor(), d); err != nil {
			t.Fatal(err)
		}
		s.poll(phone, a.str("device_code")).is("declined", http.StatusBadRequest, "access_denied")
		if err := s.OAuth.AllowDevice(t.Context(), s.visitor(), s.token.Hash(), d); exeunt.CodeOf(err) != "user_code" {
			t.Errorf("allowed after it was declined: %v", err)
		}
		grace, _ := s.NewSession(t, s.NewAccount(t, "grace"), exeunt.KindKept)
		other := s.Authority.Check(t.Context(), authority.Credential{Token: grace, Use: authority.AsPair})
		if _, err := s.OAuth.FindDevice(t.Context(), other, a.str("user_code")); exeunt.CodeOf(err) != "user_code" {
			t.Errorf("somebody else finds it: %v", err)
		}

		a = s.startDevice()
		d = s.find(a.str("user_code"))
		if err := s.OAuth.AllowDevice(t.Context(), s.visitor(), grace.Hash(), d); exeunt.CodeOf(err) != "renewed" {
			t.Errorf("by another token than the session's: %v", err)
		}
		s.poll(phone, a.str("device_code")).is("not allowed by that", http.StatusBadRequest, "authorization_pending")
		polls := 0
		for ; polls < 10; polls++ {
			s.Clock.Pass(-oauth.DeviceInterval)
			if s.poll(phone, a.str("device_code")).str("error") == "slow_down" {
				break
			}
		}
		if polls == 10 {
			t.Error("a device may ask all the time")
		}
		s.Clock.Pass(oauth.DeviceLife)
		s.poll(phone, a.str("device_code")).is("too late", http.StatusBadRequest, "expired_token")
		if _, err := s.OAuth.FindDevice(t.Context(), s.visitor(), a.str("user_code")); exeunt.CodeOf(err) != "user_code" {
			t.Errorf("too late: %v", err)
		}
		s.poll(phone, s.code(phone, "openid")).is("a browser's code", http.StatusBadRequest, "invalid_grant")
		s.poll(phone, "sesame").is("nonsense", http.StatusBadRequest, "invalid_grant")

		a = s.startDevice()
		d = s.find(a.str("user_code"))
		if err := s.OAuth.AllowDevice(t.Context(), s.visitor(), s.token.Hash(), d); err != nil {
			t.Fatal(err)
		}
		form := s.exchange(phone, a.str("device_code"))
		s.post(Token, phone, form).is("a device's code as a browser's", http.StatusBadRequest, "invalid_grant")
		s.SignOut(t, s.session)
		s.poll(phone, a.str("device_code")).is("signed out meanwhile", http.StatusBadRequest, "invalid_grant")
	})
}

// A device's code brings nothing at the grant of browsers' codes, nor a browser's at that of devices, whoever presents
// it; each stays good at its own.
func TestACodeAtTheOtherGrant(t *testing.T) {
	onEachEngine(t, func(s *site) {
		t := s.t
		for _, id := range []exeunt.ClientID{phone, legacy} { // legacy has a secret, and no PKCE
			a := s.post(Device, id, url.Values{"scope": {"openid"}})
			code := a.str("device_code")
			crossed := func(when string) {
				t.Helper()
				full := s.exchange(id, code)
				bare := url.Values{"grant_type": {"authorization_code"}, "code": {code}}
				empty := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {""}}
				s.post(Token, id, full).is(when, http.StatusBadRequest, "invalid_grant")
				for _, form := range []url.Values{bare, empty} {
					s.post(Token, id, form).is(when, http.StatusBadRequest, "invalid_request")
				}
				parsed, _ := exeunt.ParseToken(code)
				_, err := s.OAuth.ExchangeCode(t.Context(), oauth.CodeExchange{Code: parsed, Client: s.Client(t, id)})
				if exeunt.CodeOf(err) != exeunt.ErrCodeSpent.Code {
					t.Errorf("%s, %s: without an address: %v", id, when, err)
				}
			}
			crossed("waiting")
			s.poll(id, code).is("waiting", http.StatusBadRequest, "authorization_pending")
			if err := s.OAuth.AllowDevice(t.Context(), s.visitor(), s.token.Hash(), s.find(a.str("user_code"))); err != nil {
				t.Fatal(err)
			}
			crossed("allowed")
			s.poll(id, code).is("allowed", http.StatusOK, "")
			browsers := s.code(id, "openid")
			s.poll(id, browsers).is("a browser's code", http.StatusBadRequest, "invalid_grant")
			s.post(Token, id, s.exchange(id, browsers)).is("at its own grant", http.StatusOK, "")
		}
	})
}

// Strangers can have few codes stored, and nobody can look for others' by typing.
func TestDevicesAreBounded(t *testing.T) {
	s := newSite(t)
	var a answered
	for range 100 {
		if a = s.startDevice(); a.status != http.StatusOK {
			break
		}
	}
	a.is("too many", http.StatusTooManyRequests, "temporarily_unavailable")
	var err error
	for range 100 {
		if _, err = s.OAuth.FindDevice(t.Context(), s.visitor(), "BCDFGHJK"); exeunt.CodeOf(err) != "user_code" {
			break
		}
	}
	if exeunt.CodeOf(err) != "user_codes_throttled" {
		t.Errorf("typed many: %v", err)
	}
	s.Clock.Pass(time.Hour)
	s.startDevice().is("later", http.StatusOK, "")
}
