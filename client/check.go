package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Names of the gate's headers.
const (
	HeaderUser       = "Remote-User"
	HeaderName       = "Remote-Name"
	HeaderEmail      = "Remote-Email"
	HeaderGroups     = "Remote-Groups" // names with commas between them, sorted; may be empty
	HeaderAccount    = "Exeunt-Account"
	HeaderSession    = "Exeunt-Session"
	HeaderAppSession = "Exeunt-App-Session"
	HeaderClient     = "Exeunt-Client"
	HeaderKind       = "Exeunt-Kind" // of the session: kept, shared or app
	HeaderIdleAt     = "Exeunt-Idle-At"
	HeaderWarnAt     = "Exeunt-Warn-At"
	HeaderReason     = "Exeunt-Reason"
	HeaderReceipt    = "Exeunt-Receipt"
	HeaderEndedAt    = "Exeunt-Ended-At"
	HeaderActivity   = "Exeunt-Activity"

	// HeaderClientKey carries the secret key of the app that asks. For the app's
	// own app sessions the gate then adds the six headers below. With them the app
	// can cache the answer and tell whether a later event makes it invalid.
	HeaderClientKey  = "Exeunt-Client-Key"
	HeaderEpoch      = "Exeunt-Epoch"      // the history that the log's numbers belong to
	HeaderSeq        = "Exeunt-Seq"        // the answer includes every event up to this number
	HeaderDigest     = "Exeunt-Digest"     // of the event with that number
	HeaderGeneration = "Exeunt-Generation" // of the session
	HeaderIdle       = "Exeunt-Idle"       // the idle timeout in milliseconds
	HeaderExpiresAt  = "Exeunt-Expires-At" // when the session ends in any case
)

// Person is who is signed in, as the authority said when it was asked.
type Person struct {
	Account    string // ID; stays when the handle changes
	Handle     string
	Name       string
	Email      string   // "" unless confirmed
	Groups     []string // names, sorted; do not change the slice
	Session    string
	AppSession string    // "" with a session's own token
	Client     string    // ID of the app, with an app session's token
	Shared     bool      // the browser is on a shared computer: show the strip, keep nothing
	IdleAt     time.Time // when the session ends if it stays unused
	WarnAt     time.Time // when to warn of that
	AskedAt    time.Time // when the authority answered, by its own clock
}

// For returns the client that asks the gate for one app: its Check takes only the
// app's own sessions. Without it, Check takes only a session's own token, as a native
// app has.
func (c *Client) For(app string) *Client {
	of := *c
	of.gate = "/gate/" + url.PathEscape(app)
	return &of
}

// Check asks whether the token is usable now; see For. activity says whether a person
// is at work: they opened a page or sent a form. Polling and event streams are
// no activity. It returns
//   - nil: signed in;
//   - *EndedError (an ErrSignedOut): the credential is not usable any more;
//   - ErrUnavailable: nobody can tell now. Refuse the request, but do not treat
//     the person as signed out: the credential may be good.
func (c *Client) Check(ctx context.Context, token Secret, activity bool) (Person, error) {
	h, err := c.askGate(ctx, token, activity, Secret{})
	if err != nil {
		return Person{}, err
	}
	return personOf(h), nil
}

// askGate returns the headers of an answer that says "signed in".
func (c *Client) askGate(ctx context.Context, token Secret, activity bool, key Secret) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.CheckTimeout)
	defer cancel()
	r, err := c.newRequest(ctx, request{method: http.MethodGet, path: c.gate, token: token})
	if err != nil {
		return nil, err
	}
	r.Header.Set(HeaderActivity, yesNo(activity))
	if !key.IsZero() {
		r.Header.Set(HeaderClientKey, key.Reveal())
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, unreachable(err)
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, maxBody) // so that the connection can be reused
	return resp.Header, verdict(resp)
}

// verdict reads the gate's answer. An answer without the gate's own headers comes
// from a proxy in between and says nothing about the session.
func verdict(resp *http.Response) error {
	h := resp.Header
	switch {
	case resp.StatusCode == http.StatusOK && h.Get(HeaderAccount) != "":
		return nil
	case resp.StatusCode == http.StatusUnauthorized && h.Get(HeaderReason) != "":
		e := &EndedError{Ended{Reason: h.Get(HeaderReason)}}
		if e.Reason == "unknown" {
			e.Reason = ""
		}
		e.At, _ = time.Parse(time.RFC3339, h.Get(HeaderEndedAt))
		return e
	}
	text := resp.Status
	if why := h.Get(HeaderReason); why != "" {
		text += ", " + why // as no_client: ask with Client.For
	}
	return fmt.Errorf("%w: the gate answered %s", ErrUnavailable, text)
}

func personOf(h http.Header) Person {
	asked, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		asked = time.Now()
	}
	return Person{
		Account: h.Get(HeaderAccount), Handle: h.Get(HeaderUser), Name: h.Get(HeaderName), Email: h.Get(HeaderEmail),
		Groups:  groupsOf(h.Get(HeaderGroups)),
		Session: h.Get(HeaderSession), AppSession: h.Get(HeaderAppSession), Client: h.Get(HeaderClient),
		Shared: h.Get(HeaderKind) == "shared",
		IdleAt: unixMilli(h.Get(HeaderIdleAt)), WarnAt: unixMilli(h.Get(HeaderWarnAt)), AskedAt: asked,
	}
}

// groupsOf returns nil for somebody who is in no group.
func groupsOf(header string) []string {
	if header == "" {
		return nil
	}
	return strings.Split(header, ",")
}

// State asks what a page may show, and for how long. It never counts as
// activity. For a credential that is not usable any more it returns a State of
// Over and no error.
func (c *Client) State(ctx context.Context, token Secret) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.CheckTimeout)
	defer cancel()
	r, err := c.newRequest(ctx, request{method: http.MethodGet, path: "/api/v1/session/state", token: token})
	if err != nil {
		return State{State: Unknown}, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return State{State: Unknown}, unreachable(err)
	}
	defer resp.Body.Close()
	return stateOf(resp)
}

// stateOf reads a state from a plain answer, and accepts it only if the status
// agrees.
func stateOf(resp *http.Response) (State, error) {
	var s State
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	switch {
	case err == nil && resp.StatusCode == http.StatusOK && s.State == Live:
		return s, nil
	case err == nil && resp.StatusCode == http.StatusUnauthorized && s.State == Over:
		return s, nil
	}
	return State{State: Unknown}, fmt.Errorf("%w: it answered %s", ErrUnavailable, resp.Status)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func unixMilli(s string) time.Time {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
