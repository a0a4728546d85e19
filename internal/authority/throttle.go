package authority

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// How often the people of one account may have something recorded. Whatever is recorded is read by every node and
// stored for days or months.
var (
	// perAccount limits endings of many. Each is an event, even if it ended nothing.
	perAccount = throttle.Rate{Burst: 10, Every: time.Second}
	// perAccountAlone limits, besides, endings of all other sessions where there are none: what they end is bounded by
	// the sign-ins otherwise, but these only renew a token, and could go on for ever.
	perAccountAlone = throttle.Rate{Burst: 30, Every: 5 * time.Minute}
	// perSessionSingle limits endings of one session that is not the actor's own.
	perSessionSingle = throttle.Rate{Burst: 120, Every: time.Second}
	// perSessionCode limits codes for apps, and so app sessions.
	perSessionCode = throttle.Rate{Burst: 60, Every: 5 * time.Second}
	// perNetworkDevice limits what strangers may have stored: codes for people to type.
	perNetworkDevice = throttle.Rate{Burst: 20, Every: 10 * time.Second}
	// perSessionUserCode limits codes that a person types: somebody could look for another's.
	perSessionUserCode = throttle.Rate{Burst: 20, Every: time.Minute}
	// perDevicePoll is how often a device may ask, a bit more often than it is told to (RFC 8628 section 3.5).
	perDevicePoll = throttle.Rate{Burst: 2, Every: 4 * time.Second}
	// perAccountDownload limits reading a long part of the history at once.
	perAccountDownload = throttle.Rate{Burst: 10, Every: 30 * time.Second}
	// perClientQuestion and perAppQuestion limit what changes nothing, but reads the store: introspections by a client, and
	// questions whose a token is. Both leave room for an app that asks at each request of many people.
	perClientQuestion = throttle.Rate{Burst: 1000, Every: 2 * time.Millisecond}
	perAppQuestion    = throttle.Rate{Burst: 300, Every: 20 * time.Millisecond}
	// perClientRevocation limits how many people a client that may revoke can sign out: each is an event.
	perClientRevocation = throttle.Rate{Burst: 300, Every: 200 * time.Millisecond}
	// perEndingReceipt limits signatures, of which anybody who knows the address can have more.
	perEndingReceipt = throttle.Rate{Burst: 20, Every: 2 * time.Second}
	// perSessionTicket limits sign-out tickets, each of which has the store confirm the end once more. A locked browser
	// brings one every 4 s, and with each page that is opened.
	perSessionTicket = throttle.Rate{Burst: 60, Every: 2 * time.Second}
	// perAppRefresh limits refreshes of one app session, repeated ones included.
	perAppRefresh = throttle.Rate{Burst: 100, Every: 5 * time.Second}
)

// countEnding counts an ending against the account's limit, before anything is written, and returns a function to
// call with its outcome. Not counted are
//   - a sign-out: the ending of the actor's own session or app session. There is only one of each;
//   - operators, and the authority itself;
//   - an ending with a change of the account, a new password or the disabling, because it may be needed against a
//     thief at once;
//   - a request whose key has an outcome or is in doubt: it records nothing new, and whoever repeats it must learn
//     the outcome.
func (a *Authority) countEnding(
	ctx context.Context, by exeunt.Actor, rev exeunt.Revocation, change store.Change,
) (judge func(error), err error) {
	if by.Kind != exeunt.ActorPerson || isSignOut(by, rev) || !change.IsZero() {
		return func(error) {}, nil
	}
	var unread error
	if rev.Key != "" {
		// This comes before the count: somebody who repeats one request without pause must not use up the account's
		// limit.
		var known bool
		if known, unread = a.store.HasOutcome(ctx, by, rev.Key); known || a.inDoubt.has(by, rev.Key) {
			return func(error) {}, nil
		}
	}
	limit, rate, of := exeunt.LimitEndings, perAccount, by.Account.String()
	if rev.Scope == exeunt.ScopeSession {
		// By the session that asks: a copied one must not use up its owner's, who ends it.
		limit, rate, of = exeunt.LimitSingleEndings, perSessionSingle, by.Session.String()
	}
	judge, err = a.count(limit, rate, of, by.Address)
	if err == nil && rev.Scope == exeunt.ScopeOthers {
		if v, unknown := a.store.Account(ctx, by.Account); unknown == nil && v.LiveSessions <= 1 {
			_, err = a.count(limit, perAccountAlone, of+" alone", by.Address)
		}
	}
	if err != nil && unread != nil {
		return nil, unread // the key may have an outcome
	}
	return judge, err
}

// isSignOut reports whether the actor's own session, or own app session, ends.
func isSignOut(by exeunt.Actor, rev exeunt.Revocation) bool {
	if rev.Scope != exeunt.ScopeSession || by.Session != rev.Session {
		return false
	}
	return rev.AppSession.IsZero() || rev.AppSession == by.App
}

// CountIntrospection counts a client's question about a token. ThrottledError when it asks too often.
func (a *Authority) CountIntrospection(c exeunt.ClientID, from netip.Addr) error {
	_, err := a.count(exeunt.LimitIntrospections, perClientQuestion, string(c), from)
	return err
}

// CountTicket counts that a sign-out ticket of a session is brought. ThrottledError when that is too often.
func (a *Authority) CountTicket(id exeunt.SessionID, from netip.Addr) error {
	_, err := a.count(exeunt.LimitTickets, perSessionTicket, id.String(), from)
	return err
}

// CountRevocation counts that a client ends everything of somebody. ThrottledError when it does so too often.
func (a *Authority) CountRevocation(c exeunt.ClientID, from netip.Addr) error {
	_, err := a.count(exeunt.LimitRevocations, perClientRevocation, string(c), from)
	return err
}

// CountUserInfo counts a question whose an app session's token is. ThrottledError when it is asked too often.
func (a *Authority) CountUserInfo(ans Answer, from netip.Addr) error {
	_, err := a.count(exeunt.LimitUserInfo, perAppQuestion, ans.App.String(), from)
	return err
}

// count counts something that an account or session has recorded, and returns a function to call with the outcome.
func (a *Authority) count(
	what exeunt.Limit, rate throttle.Rate, of string, from netip.Addr,
) (judge func(error), err error) {
	key := string(what) + " " + of
	if wait := a.limits.Take(key, rate, throttle.WideNetwork(from)); wait > 0 {
		return nil, &exeunt.ThrottledError{RetryAfter: wait, Limit: what}
	}
	return func(err error) {
		if errors.Is(err, exeunt.ErrUnavailable) || errors.Is(err, exeunt.ErrSignedOut) {
			a.limits.GiveBack(key, rate) // nothing was recorded, through no fault of who asked
		}
	}, nil
}
