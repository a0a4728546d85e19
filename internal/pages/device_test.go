package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/testnode"
)

// waiting has a device of Chirp wait.
func (n *node) waiting() (code exeunt.Token, typed string) {
	n.t.Helper()
	c := n.Client(n.t, testnode.Chirp)
	c.DeviceGrant = true
	n.must(n.OAuth.Reconcile(n.t.Context(), []exeunt.Client{c}, n.Now()))
	code, typed, err := n.OAuth.StartDevice(n.t.Context(), c, "openid profile", authority.Device{UserAgent: "curl/8"})
	n.must(err)
	return code, typed
}

func (n *node) polled(code exeunt.Token) error {
	n.t.Helper()
	n.Clock.Pass(oauth.DeviceInterval)
	_, err := n.OAuth.ExchangeDevice(n.t.Context(), n.Client(n.t, testnode.Chirp), code, authority.Device{})
	return err
}

// Somebody types the code that a device shows, reads what asks, and signs it in or declines. A form that is sent twice is
// answered the same; a link with the code does nothing by itself.
func TestTypingADevicesCode(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	code, typed := n.waiting()
	link := "/device?" + url.Values{"user_code": {typed}}.Encode()
	b := newBrowser(n)
	b.get(link).is(http.StatusOK).says("Sign in") // nobody is signed in
	b.signIn("ada", "kept")
	page := b.get(link).is(http.StatusOK).says("Sign in a device")
	if !strings.Contains(page.body, `value="`+typed+`"`) {
		t.Error("the code of the link is not filled in")
	}
	form := page.form("/device")
	if err := n.polled(code); err != oauth.ErrDevicePending {
		t.Errorf("after the link: %v", err)
	}
	form.Set("user_code", "no code")
	b.post("/device", form).is(http.StatusUnprocessableEntity).says("No device is waiting")
	form.Set("user_code", typed)
	form = b.post("/device", form).is(http.StatusOK).says("Sign in Chirp on a device as").says(typed).says("curl").
		says("get into your account").form("/device/decide")
	if err := n.polled(code); err != oauth.ErrDevicePending {
		t.Errorf("after it was typed: %v", err)
	}
	form.Set("decision", "continue")
	for range 2 {
		b.post("/device/decide", form).is(http.StatusOK).says("Chirp is being signed in")
	}
	form.Set("decision", "cancel")
	b.post("/device/decide", form).is(http.StatusUnprocessableEntity)
	n.must(n.polled(code))

	code, typed = n.waiting()
	form = b.get("/device").form("/device")
	form.Set("user_code", typed)
	form = b.post("/device", form).form("/device/decide")
	stranger := n.account("grace")
	other := newBrowser(n)
	other.signIn("grace", "kept")
	for range 2 {
		form.Set("decision", "cancel")
		b.post("/device/decide", form).is(http.StatusOK).says("Chirp is not signed in")
	}
	if err := n.polled(code); err != oauth.ErrDeviceDeclined {
		t.Errorf("declined: %v", err)
	}
	form.Set("session", other.session().String())
	form.Set("decision", "continue")
	other.post("/device/decide", form).is(http.StatusUnprocessableEntity)
	if apps, err := n.Apps(t.Context(), authority.AppFilter{Account: stranger, Client: testnode.Chirp, Limit: 10}); err != nil || len(apps) > 0 {
		t.Errorf("%v, %v", apps, err)
	}
}
