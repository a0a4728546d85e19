package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// SignIn starts a session of kind app and returns its bearer token. Problems:
// wrong_credentials, throttled; factor_required, with a Challenge for Answer.
func (c *Client) SignIn(ctx context.Context, in SignIn) (Secret, Session, error) {
	var out SignedIn
	err := c.post(ctx, "/api/v1/signin", Secret{}, in, &out, http.StatusCreated)
	return out.Token.Secret(), out.Session, err
}

// Answer takes the second step of a sign-in: SignIn has failed with a Problem factor_required, whose Challenge it
// answers with a code. Problems: wrong_code, clock, code_used, challenge_over, throttled.
func (c *Client) Answer(ctx context.Context, in Answer) (Secret, Session, error) {
	var out SignedIn
	err := c.post(ctx, "/api/v1/signin/answer", Secret{}, in, &out, http.StatusCreated)
	return out.Token.Secret(), out.Session, err
}

// Current returns the session that the token stands for. It counts as activity.
func (c *Client) Current(ctx context.Context, token Secret) (Current, error) {
	var out Current
	err := c.get(ctx, "/api/v1/session", nil, token, &out)
	return out, err
}

// End signs out the session that the token stands for; an app session's token
// ends only that app session, or the session that an app on a person's device
// has of its own. When it returns nil the end is on the server's
// stable storage: only the authority's own 204 counts as success. Ending again
// is harmless.
func (c *Client) End(ctx context.Context, token Secret) error {
	return c.call(ctx, request{
		method: http.MethodDelete, path: "/api/v1/session", token: token, status: http.StatusNoContent,
	})
}

// PageClosed says that a page of the token's session on a shared computer was closed. If nothing is heard of the session for
// a minute after that, it ends. The authority takes it as a hint, and ignores it for any other session.
func (c *Client) PageClosed(ctx context.Context, token Secret) error {
	return c.call(ctx, request{
		method: http.MethodPost, path: "/api/v1/session/closing", token: token, status: http.StatusNoContent,
	})
}

// SessionQuery says which page of the account's sessions to read.
type SessionQuery struct {
	Ended bool   // those that have ended, the latest end first; otherwise those usable now, the latest sign-in first
	After string // SessionList.Next of the page before; "" is the first page
	Limit int    // at most 500; 0 is 100
}

// SessionPage returns a page of the account's sessions.
func (c *Client) SessionPage(ctx context.Context, token Secret, q SessionQuery) (SessionList, error) {
	v := url.Values{}
	if q.Ended {
		v.Set("state", "ended")
	}
	if q.After != "" {
		v.Set("after", q.After)
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out SessionList
	err := c.get(ctx, "/api/v1/sessions", v, token, &out)
	return out, err
}

// Sessions goes through all of the account's sessions, page by page: those usable now, or those that have ended. An
// error is the last of the sequence.
func (c *Client) Sessions(ctx context.Context, token Secret, ended bool) iter.Seq2[Session, error] {
	return func(yield func(Session, error) bool) {
		for q := (SessionQuery{Ended: ended}); ; {
			page, err := c.SessionPage(ctx, token, q)
			if err != nil {
				yield(Session{}, err)
				return
			}
			for _, s := range page.Sessions {
				if !yield(s, nil) {
					return
				}
			}
			if q.After = page.Next; q.After == "" {
				return
			}
		}
	}
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

// EndSessions ends many sessions in one step and returns how many there were. With
// Others it also returns the session's new token, and the old one is not accepted any
// more: keep the new one, or use EndOthers, which does. Problems: endings_throttled,
// when this was done too often lately; the sign-out of the token's own session never
// is. renewed: another call has renewed the token first.
func (c *Client) EndSessions(ctx context.Context, token Secret, scope Scope, key string) (int64, Secret, error) {
	var out struct {
		Ended *int64 `json:"ended"` // as in EndedCount
		Token Sent   `json:"token"`
	}
	err := c.call(ctx, request{
		method: http.MethodDelete, path: "/api/v1/sessions", query: url.Values{"scope": {string(scope)}},
		token: token, key: key, out: &out, status: http.StatusOK,
	})
	switch {
	case err != nil:
		return 0, Secret{}, err
	case out.Ended == nil:
		return 0, Secret{}, fmt.Errorf("%w: its answer does not say how many it ended", ErrUnavailable)
	}
	return *out.Ended, out.Token.Secret(), nil
}
