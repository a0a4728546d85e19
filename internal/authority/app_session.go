package authority

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

// AppSignIn is a request to exchange a code for an app session, with what the code is bound to.
type AppSignIn struct {
	Code        exeunt.TokenHash
	Client      exeunt.ClientID
	RedirectURI string
	Challenge   string // computed from the app's PKCE verifier; "" without
	// Life is how long a token lasts that can be replaced by another one; others last as long as the session.
	Life time.Duration
	// Fresh is how old the person's proof may become before the token expires; 0: any age.
	Fresh time.Duration
	// Own is set for an app on a person's device, which gets a session of its own beside the browser's.
	Own *Device
}

// Device is where an app runs that gets a session of its own.
type Device struct {
	Label, UserAgent string
	Address          netip.Addr
}

// Grant is the app session that a code was exchanged for.
type Grant struct {
	Answer
	Scopes exeunt.Scopes
	Nonce  string
}

// StartApp spends a code for an app session and returns its credential. Whatever is wrong with the code is
// ErrCodeSpent: the difference would only help whoever stole it. A code that would change nothing does not reach the
// committing goroutine: anybody may call this, and each commit waits for the disk. ErrUnavailable and
// ErrNotConfirmed are the store's; after ErrNotConfirmed the code may be spent, and presenting it again ends the app
// session.
func (a *Authority) StartApp(ctx context.Context, in AppSignIn) (exeunt.Token, Grant, error) {
	token, app, now := exeunt.NewToken(exeunt.UseApp), exeunt.NewAppSessionID(), a.now()
	x := store.Exchange{
		Code: in.Code, Client: in.Client, RedirectURI: in.RedirectURI, Challenge: in.Challenge, App: app,
	}
	granted, err := a.codeMatters(ctx, x)
	if err != nil {
		return exeunt.Token{}, Grant{}, err
	}
	if granted.Scopes.Has(exeunt.ScopeOffline) {
		x.Expires = expiryAfter(now, in.Life)
		token = token.Expiring(x.Expires)
	}
	if in.Fresh > 0 {
		s, err := a.store.Session(ctx, granted.Account, granted.Session)
		if err != nil {
			return exeunt.Token{}, Grant{}, err
		}
		x.Expires = expiryAfter(s.Proved, in.Fresh)
		token = exeunt.NewToken(exeunt.UseTimed).Expiring(x.Expires)
	}
	x.Hash = token.Hash()
	if in.Own != nil {
		x.Own = a.ownSession(*in.Own, now)
	}
	if err := a.store.ExchangeCode(ctx, x, now); err != nil {
		return exeunt.Token{}, Grant{}, err
	}
	ans, err := a.mustBeUsable(ctx, token, app)
	if err != nil {
		return exeunt.Token{}, Grant{Answer: ans}, err
	}
	a.feed.Wake(ans.Account)
	return token, Grant{ans, granted.Scopes, granted.Nonce}, nil
}

// expiryAfter is in whole seconds, as tokens have it.
func expiryAfter(now time.Time, life time.Duration) time.Time {
	return now.Add(life).Truncate(time.Second)
}

// ownSession is the session of an app on a person's device. Nobody holds its own token: the app has that of its app
// session.
func (a *Authority) ownSession(d Device, now time.Time) *store.NewSession {
	limits := a.policy.For(exeunt.KindApp)
	return &store.NewSession{
		Hash: exeunt.NewToken(exeunt.UseSession).Hash(), Due: now.Add(a.retention.Ended), Most: a.policy.MaxSessions,
		Policy: a.policy,
		Session: exeunt.Session{ID: exeunt.NewSessionID(), Kind: exeunt.KindApp, Label: CleanLabel(d.Label),
			UserAgent: cut(d.UserAgent, maxUserAgent), Address: d.Address, Started: now, Seen: now, Idle: limits.Idle,
			ExpiresAt: now.Add(limits.Absolute)},
	}
}

// mustBeUsable checks a credential of an app session that has just been made.
func (a *Authority) mustBeUsable(ctx context.Context, token exeunt.Token, app exeunt.AppSessionID) (Answer, error) {
	ans := a.check(ctx, token)
	switch {
	case ans.State == live.Indeterminate:
		return ans, fmt.Errorf("app session %s: %w", app, exeunt.ErrNotConfirmed)
	case !ans.Usable():
		return ans, exeunt.ErrCodeSpent // ended in this very moment
	}
	return ans, nil
}

// AppRefresh is a request to replace an app session's token, by the count that the refresh token has.
type AppRefresh struct {
	Account exeunt.AccountID
	App     exeunt.AppSessionID
	Client  exeunt.ClientID
	Count   int64
	Life    time.Duration // of the next token
}

// Refresh replaces an app session's token and returns the next one; see store.RefreshApp for what happens when one
// refresh token is presented several times. The next token is made from the count and a secret of the server, so a
// repeated request gets the same one without anything but its hash being stored. A refresh that would change nothing
// does not reach the committing goroutine. Outcomes: nil; ErrCodeSpent when there is nothing to refresh, whatever the
// cause; ThrottledError; ErrUnavailable and ErrNotConfirmed, after which repeating it is harmless.
func (a *Authority) Refresh(ctx context.Context, in AppRefresh) (exeunt.Token, exeunt.AppSession, Answer, error) {
	fail := func(err error) (exeunt.Token, exeunt.AppSession, Answer, error) {
		return exeunt.Token{}, exeunt.AppSession{}, Answer{}, err
	}
	now := a.now()
	r := store.Refresh{Account: in.Account, App: in.App, Client: in.Client, Count: in.Count,
		Expires: expiryAfter(now, in.Life)}
	app, err := a.store.MayRefresh(ctx, r, now)
	switch {
	case errors.Is(err, exeunt.ErrNotFound), err == nil && in.Count > app.Refreshes:
		return fail(exeunt.ErrCodeSpent)
	case err != nil:
		return fail(err)
	}
	judge, err := a.count(exeunt.LimitRefreshes, perAppRefresh, in.App.String(), netip.Addr{})
	if err != nil {
		return fail(err)
	}
	tokens := a.refreshTokens(in, r.Expires)
	r.Hash = tokens[0].Hash()
	done, err := a.store.RefreshApp(ctx, r, now)
	judge(err)
	if err != nil {
		return fail(err)
	}
	next := tokens[0]
	if done.Again {
		next = exeunt.Token{}
		for _, t := range a.refreshTokens(in, done.Expires) {
			if h := t.Hash(); subtle.ConstantTimeCompare(h[:], done.Hash[:]) == 1 {
				next = t
			}
		}
		if next.IsZero() {
			return fail(exeunt.ErrCodeSpent) // the server's secret has gone
		}
	}
	ans, err := a.mustBeUsable(ctx, next, in.App)
	if err != nil {
		return fail(err)
	}
	if ans.Kind == exeunt.KindApp {
		a.Touch(ans) // nobody but the app itself uses its session
	}
	app.TokenExpires = done.Expires
	return next, app, ans, nil
}

// refreshTokens are the next tokens of an app session, one for each of the server's secrets, the active one's first.
func (a *Authority) refreshTokens(in AppRefresh, expires time.Time) []exeunt.Token {
	var out []exeunt.Token
	for _, secret := range a.secrets(fmt.Sprintf("refresh %s %d", in.App, in.Count+1)) {
		out = append(out, exeunt.TokenFrom(exeunt.UseTimed, secret).Expiring(expires))
	}
	return out
}

// AddCode stores a code of a live session for an app. It returns ErrSignedOut if the session has ended, and a
// ThrottledError if the session has signed in to apps too often lately.
func (a *Authority) AddCode(ctx context.Context, hash exeunt.TokenHash, c store.Code) error {
	judge, err := a.count(exeunt.LimitAppSignIns, perSessionCode, c.Session.String(), netip.Addr{})
	if err != nil {
		return err
	}
	err = a.store.AddCode(ctx, hash, c)
	judge(err)
	return err
}

func (a *Authority) codeMatters(ctx context.Context, x store.Exchange) (store.Granted, error) {
	matters := false
	var g store.Granted
	err := a.LookUp(ctx, exeunt.UseCode, x.Code, exeunt.ErrNotFound, func(ctx context.Context) (err error) {
		if g, matters, err = a.store.CodeMatters(ctx, x, a.now()); errors.Is(err, exeunt.ErrNotFound) {
			// The code of a device that waits is of no use yet, but will be.
			if _, unknown := a.store.DeviceByCode(ctx, x.Code); !errors.Is(unknown, exeunt.ErrNotFound) {
				return unknown
			}
		}
		return err
	})
	if errors.Is(err, exeunt.ErrNotFound) || err == nil && !matters {
		err = exeunt.ErrCodeSpent
	}
	return g, err
}

// Consent returns what the account has allowed a client, and "" if it has never been asked.
func (a *Authority) Consent(ctx context.Context, account exeunt.AccountID, c exeunt.ClientID) (exeunt.Scopes, error) {
	got, err := a.store.Consent(ctx, account, c)
	if errors.Is(err, exeunt.ErrNotFound) {
		return "", nil
	}
	return got.Scopes, err
}

// Consent is what a person has allowed an app.
type Consent = store.Consent

// Consents returns what the account has allowed apps.
func (a *Authority) Consents(ctx context.Context, account exeunt.AccountID) ([]Consent, error) {
	return a.store.Consents(ctx, account, maxConsents)
}

// maxConsents bounds a list; there are no more than there are clients.
const maxConsents = 500

// Allow records that a person allows an app these scopes. It goes on when the caller goes away.
func (a *Authority) Allow(ctx context.Context, by exeunt.Actor, c exeunt.Client, scopes exeunt.Scopes) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.patience)
	defer cancel()
	return a.store.Allow(ctx, by, c, scopes, a.now())
}

// Withdraw forgets what a person has allowed an app; EndApp ends what the app has now.
func (a *Authority) Withdraw(ctx context.Context, by exeunt.Actor, c exeunt.ClientID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.patience)
	defer cancel()
	return a.store.Withdraw(ctx, by, c, a.now())
}

// LeftApp reports whether the person has signed out of that app alone, in that session, and has not come back since.
func (a *Authority) LeftApp(
	ctx context.Context, account exeunt.AccountID, s exeunt.SessionID, c exeunt.ClientID,
) (bool, error) {
	return a.store.LeftApp(ctx, account, s, c)
}

// AppFilter says which app sessions of an account are read.
type AppFilter = store.AppFilter

// AppUse is an app session with the session that it is in.
type AppUse = store.AppUse

// Apps returns app sessions that are usable unless their session has timed out, by client and newest first.
func (a *Authority) Apps(ctx context.Context, f AppFilter) ([]AppUse, error) {
	return a.store.AppUses(ctx, f)
}

// endAppsStep is how many app sessions one transaction ends.
const endAppsStep = 64

// EndApp ends what a person has in one app: in one session, or with the zero ID in all of them. Apps on a person's
// device lose the session of their own. The same request with the same key ends nothing more, and gets the first one's
// number. Outcomes are those of End; after an error some may have ended, and repeating it is harmless.
func (a *Authority) EndApp(
	ctx context.Context, by exeunt.Actor, c exeunt.ClientID, in exeunt.SessionID, key string,
) (out Ending, err error) {
	if by.Kind != exeunt.ActorPerson || !by.App.IsZero() {
		return out, exeunt.ErrForbidden
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.patience)
	defer cancel()
	if key == "" {
		key = rand.Text()
	}
	what := "app " + string(c) + " " + in.String()
	f := store.AppFilter{Account: by.Account, Client: c, Session: in, Limit: endAppsStep}
	for step := 0; ; step++ {
		done, more, err := a.endApps(ctx, by, f, what, fmt.Sprintf("%s %d", key, step))
		if err != nil {
			return out, fmt.Errorf("end app sessions of %s: %w", c, err)
		}
		if out.Ended += done.Ended; step == 0 {
			out.At, out.Already = done.At, done.Already
		}
		if !more {
			return out, nil
		}
	}
}

func (a *Authority) endApps(
	ctx context.Context, by exeunt.Actor, f store.AppFilter, what, key string,
) (out Ending, more bool, err error) {
	known, err := a.store.HasOutcome(ctx, by, key)
	if err != nil {
		return out, false, err
	}
	judge := func(error) {}
	if !known {
		if judge, err = a.count(exeunt.LimitSingleEndings, perSessionSingle, by.Session.String(), by.Address); err != nil {
			return out, false, err
		}
	}
	apps, err := a.store.AppUses(ctx, f)
	if err != nil {
		return out, false, err
	}
	list := make([]exeunt.Revocation, len(apps))
	for i, app := range apps {
		list[i] = exeunt.Revocation{Target: app.Target(), Reason: exeunt.ReasonSignedOut}
	}
	out, err = a.store.EndApps(ctx, by, list, what, key, a.now())
	if err == nil && out.Already {
		if unread := a.feed.Confirm(ctx); unread != nil { // as in end
			err = fmt.Errorf("%w (%w)", exeunt.ErrNotConfirmed, unread)
		}
	}
	judge(err)
	if errors.Is(err, exeunt.ErrNotConfirmed) {
		for _, rev := range list {
			a.putInDoubt(inDoubtEnding{by: by, rev: rev})
		}
	}
	if err == nil && !out.Already && out.Ended > 0 {
		a.log.LogAttrs(ctx, slog.LevelInfo, "app sessions ended", slog.String("account", by.Account.String()),
			slog.String("client", string(f.Client)), slog.Int64("ended", out.Ended), slog.String("by", string(by.Kind)))
	}
	return out, len(apps) == endAppsStep || out.Already && out.Ended == endAppsStep, err
}
