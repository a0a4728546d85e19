package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// SignIn starts a session of kind app and returns its bearer token. Problems:
// wrong_credentials, throttled.
func (c *Client) SignIn(ctx context.Context, in SignIn) (Secret, Session, error) {
	var out SignedIn
	err := c.post(ctx, "/api/v1/signin", Secret{}, in, &out, http.StatusCreated)
	return out.Token.Secret(), out.Session, err
}

// Current returns the session that the token stands for. It counts as activity.
func (c *Client) Current(ctx context.Context, token Secret) (Current, error) {
	var out Current
	err := c.get(ctx, "/api/v1/session", nil, token, &out)
	return out, err
}

// End signs out the session that the token stands for; an app session's token
// ends only that app session. When it returns nil the end is on the server's
// stable storage: only the authority's own 204 counts as success. Ending again
// is harmless.
func (c *Client) End(ctx context.Context, token Secret) error {
	return c.call(ctx, request{
		method: http.MethodDelete, path: "/api/v1/session", token: token, status: http.StatusNoContent,
	})
}

// Sessions returns the account's sessions: those usable now, or those that
// have ended.
func (c *Client) Sessions(ctx context.Context, token Secret, ended bool) ([]Session, error) {
	q := url.Values{}
	if ended {
		q.Set("state", "ended")
	}
	var out SessionList
	err := c.get(ctx, "/api/v1/sessions", q, token, &out)
	return out.Sessions, err
}

// EndSession ends one session of the account, or fails with single_endings_throttled
// when this was done too often lately. The idempotency key makes a retry
// harmless; "" for none. Problems: not_found, also for somebody else's session;
// key_reused.
func (c *Client) EndSession(ctx context.Context, token Secret, id, key string) error {
	return c.call(ctx, request{
		method: http.MethodDelete, path: "/api/v1/sessions/" + url.PathEscape(id), token: token, key: key,
		status: http.StatusNoContent,
	})
}

// Scope says how many sessions EndSessions ends.
type Scope string

const (
	// Others: every session of the account but the token's own.
	Others Scope = "others"
	// Everywhere: every session of the account, the token's own included.
	Everywhere Scope = "account"
)

// EndSessions ends many sessions in one step and returns how many there were.
// Problem: endings_throttled, when this was done too often lately. The sign-out of
// the token's own session never is.
func (c *Client) EndSessions(ctx context.Context, token Secret, scope Scope, key string) (int64, error) {
	var out struct {
		Ended *int64 `json:"ended"` // as in EndedCount
	}
	err := c.call(ctx, request{
		method: http.MethodDelete, path: "/api/v1/sessions", query: url.Values{"scope": {string(scope)}},
		token: token, key: key, out: &out, status: http.StatusOK,
	})
	switch {
	case err != nil:
		return 0, err
	case out.Ended == nil:
		return 0, fmt.Errorf("%w: its answer does not say how many it ended", ErrUnavailable)
	}
	return *out.Ended, nil
}

// Exchange exchanges a sign-in code for an app session. key is the app's secret key,
// zero if it has none. Problems: code_spent, client_key.
func (c *Client) Exchange(ctx context.Context, in CodeExchange, key Secret) (Secret, CodeExchanged, error) {
	var out CodeExchanged
	err := c.post(ctx, "/api/v1/app-sessions", key, in, &out, http.StatusCreated)
	token := out.Token.Secret()
	out.Token = ""
	return token, out, err
}
