package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/store"
)

// cause ends a session, or what somebody has in apps.
type cause struct {
	name   string
	reason exeunt.Reason // as it is recorded
	// prepare is what must be so before the apps are signed in to; nil: nothing.
	prepare func(*testing.T, *attachedNode, *signedIn)
	end     func(*testing.T, *attachedNode, *signedIn, []*attachment)
	not     []exeunt.ClientID // whom it does not concern
	// unsure: apps refuse, but cannot know why.
	unsure bool
	// soon: nobody has been answered that it ended, so that no app needs to refuse the very next request.
	soon bool
}

// elsewhere are reasons that no row of the table can have.
var elsewhere = map[exeunt.Reason]string{
	exeunt.ReasonEmailConfirmed: "no session ends", exeunt.ReasonEmailChanged: "no session ends",
	exeunt.ReasonPictureChanged: "no session ends", exeunt.ReasonPictureRemoved: "no session ends",
	exeunt.ReasonGroupAdded: "no session ends", exeunt.ReasonGroupRemoved: "what ends has the reason administrator",
	exeunt.ReasonDatabaseTrusted: "no session ends",
	exeunt.ReasonAllEnded:        "happens before a node answers; what ends has the reason administrator",
}

// ending is a cause that is one call of the authority's End.
func ending(by func(*attachedNode, *signedIn) exeunt.Actor, scope exeunt.Scope, why exeunt.Reason) func(
	*testing.T, *attachedNode, *signedIn, []*attachment) {
	return func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
		target := exeunt.Target{Account: s.session.Account, Scope: scope}
		if scope == exeunt.ScopeSession {
			target.Session = s.session.ID
		}
		_, err := w.Authority.End(t.Context(), by(w, s), exeunt.Revocation{Target: target, Reason: why})
		must(t, err)
	}
}

func here(_ *attachedNode, s *signedIn) exeunt.Actor { return s.actor() }

func there(w *attachedNode, s *signedIn) exeunt.Actor { return w.elsewhere(s).actor() }

// all ends something by itself for each app.
func all(one func(*testing.T, *attachedNode, *signedIn, *attachment)) func(*testing.T, *attachedNode, *signedIn, []*attachment) {
	return func(t *testing.T, w *attachedNode, s *signedIn, list []*attachment) {
		for _, a := range list {
			one(t, w, s, a)
		}
	}
}

var causes = []cause{
	{name: "signed out here", reason: exeunt.ReasonSignedOut,
		end: ending(here, exeunt.ScopeSession, exeunt.ReasonSignedOut)},
	{name: "signed out everywhere", reason: exeunt.ReasonSignedOut,
		end: ending(here, exeunt.ScopeAccount, exeunt.ReasonSignedOut)},
	{name: "ended from another device", reason: exeunt.ReasonSignedOut,
		end: ending(there, exeunt.ScopeSession, exeunt.ReasonSignedOut)},
	{name: "everywhere else", reason: exeunt.ReasonSignedOut,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			other := w.elsewhere(s)
			_, _, err := w.Authority.EndOthers(t.Context(), other.actor(), other.token, "")
			must(t, err)
		}},
	// This browser's session goes on, but its token may have been copied before, and the apps begun with the copy.
	{name: "everywhere else, as seen from here", reason: exeunt.ReasonRenewed,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			_, _, err := w.Authority.EndOthers(t.Context(), s.actor(), s.token, "")
			must(t, err)
		}},
	{name: "each app by itself", reason: exeunt.ReasonSignedOut,
		end: all(func(t *testing.T, w *attachedNode, s *signedIn, a *attachment) {
			_, err := w.Authority.EndApp(t.Context(), s.actor(), a.way.client, exeunt.SessionID{}, "")
			must(t, err)
		})},
	{name: "signed in again in the browser", reason: exeunt.ReasonReplaced,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			_, _, err := w.Authority.Start(t.Context(), authority.SignIn{Proof: w.proofOf(s), Kind: exeunt.KindKept, Replaces: s.session.ID})
			must(t, err)
		}},
	// An app with sessions of its own is not told: the token would name the session, and so end the newer ones, too.
	{name: "signed in to the app again and again", reason: exeunt.ReasonReplaced, not: []exeunt.ClientID{"told", "connected"},
		end: all(func(t *testing.T, w *attachedNode, s *signedIn, a *attachment) {
			for range store.MaxAppSessions {
				w.passed.Add(10_000) // so that one is the oldest, and there are not too many at once
				w.attach(s, a.way)
			}
		})},
	{name: "too many sessions", reason: exeunt.ReasonTooMany,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			for range w.Config.MaxSessions {
				w.passed.Add(1)
				w.elsewhere(s)
			}
		}},
	{name: "the last page on a shared computer closed", reason: exeunt.ReasonClosed,
		prepare: func(t *testing.T, w *attachedNode, s *signedIn) {
			var err error
			s.token, s.session, err = w.Authority.Start(t.Context(), authority.SignIn{Proof: s.proof, Kind: exeunt.KindShared})
			must(t, err)
		},
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			must(t, w.Authority.FlushActivity(t.Context()))
			w.passed.Add(1000)
			must(t, w.Store.MarkClosing(t.Context(), []exeunt.Closing{{Account: s.session.Account, Session: s.session.ID, At: w.now()}}))
			w.passed.Add(exeunt.ClosingGrace.Milliseconds())
			_, err := w.Authority.End(t.Context(), exeunt.System(), exeunt.Revocation{Reason: exeunt.ReasonClosed,
				Target: exeunt.Target{Account: s.session.Account, Scope: exeunt.ScopeSession, Session: s.session.ID}})
			must(t, err)
		}},
	{name: "an administrator, one session", reason: exeunt.ReasonAdministrator,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			_, err := w.operate.EndSession(t.Context(), anOperator, s.session.ID)
			must(t, err)
		}},
	{name: "an administrator, the account's sessions", reason: exeunt.ReasonAdministrator,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			_, err := w.operate.EndSessions(t.Context(), anOperator, s.handle)
			must(t, err)
		}},
	{name: "taken out of the group", reason: exeunt.ReasonAdministrator,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			_, err := w.Accounts.ChangeGroup(t.Context(), anOperator, "staff", []string{s.handle}, true)
			must(t, err)
		}},
	{name: "account disabled", reason: exeunt.ReasonDisabled,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			_, err := w.Accounts.Disable(t.Context(), anOperator, w.accountOf(s))
			must(t, err)
		}},
	{name: "account to be deleted", reason: exeunt.ReasonDeleted,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			_, err := w.Accounts.DeleteOwn(t.Context(), s.actor(), "", w.prove(s))
			must(t, err)
		}},
	{name: "account deleted at once", reason: exeunt.ReasonDeleted,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			_, err := w.Accounts.Delete(t.Context(), anOperator, w.accountOf(s), true)
			must(t, err)
		}},
	{name: "password changed elsewhere", reason: exeunt.ReasonPasswordChange,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			other := w.elsewhere(s)
			_, _, err := w.Accounts.ChangePassword(t.Context(), other.actor(), other.token, "key", adasNext, w.prove(s))
			must(t, err)
		}},
	{name: "password set by a link", reason: exeunt.ReasonPasswordChange,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			link, err := w.Accounts.OfferReset(t.Context(), anOperator, w.accountOf(s))
			must(t, err)
			_, err = w.Accounts.Reset(t.Context(), link, adasNext, netip.Addr{})
			must(t, err)
		}},
	{name: "second step changed elsewhere", reason: exeunt.ReasonFactorChange,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			other := w.elsewhere(s)
			_, _, err := w.Authority.ChangeFactors(t.Context(), other.actor(), other.token, "", newTOTP(w.now()), other.proof.CredentialVersion, nil)
			must(t, err)
		}},
	{name: "second step removed by an operator", reason: exeunt.ReasonFactorChange,
		prepare: func(t *testing.T, w *attachedNode, s *signedIn) {
			must(t, w.Store.ChangeFactors(t.Context(), s.actor(), s.token.Hash(), s.proof.CredentialVersion, newTOTP(w.now()), w.now()))
		}, end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			_, _, err := w.Accounts.DropFactors(t.Context(), anOperator, w.accountOf(s), exeunt.FactorID{})
			must(t, err)
		}},
	{name: "an unfamiliar sign-in was somebody else", reason: exeunt.ReasonNotMe,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			w.arrives(s, "192.0.2.7") // the first is familiar
			is := w.arrives(s, "203.0.113.7")
			if is.Notice == nil {
				t.Fatal("the sign-in is familiar")
			}
			_, err := w.Accounts.NotMe(t.Context(), s.actor(), "key", is.Notice.ID)
			must(t, err)
		}},
	{name: "change of the address undone", reason: exeunt.ReasonAddressUndone,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			link, reset := exeunt.NewToken(exeunt.UseLink), exeunt.NewToken(exeunt.UseInvite)
			none := ""
			_, err := w.Store.ChangeProfile(t.Context(), s.session.Account, store.ProfileChange{Email: &none, Token: s.token.Hash(),
				Credential: s.proof.CredentialVersion, Undo: &store.Ask{Link: store.Link{Hash: link.Hash(), Account: s.session.Account,
					Purpose: store.LinkUndo, Data: s.handle + "@example.com", Expires: w.now().Add(time.Hour)},
					Mail: store.NewMail{ID: exeunt.NewMailID(), Account: s.session.Account, Template: "address_removed", Recipient: []byte{1}, Sealed: []byte{1}}}},
				s.actor(), w.now())
			must(t, err)
			_, err = w.Authority.UndoAddress(t.Context(), s.session.Account, store.Undo{Link: link.Hash(), Reset: reset.Hash(),
				Expires: w.now().Add(time.Hour)}, netip.Addr{})
			must(t, err)
		}},
	{name: "account secured elsewhere", reason: exeunt.ReasonSecured,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			other := w.elsewhere(s)
			_, _, err := w.Accounts.SecureOwn(t.Context(), other.actor(), other.token, "key")
			must(t, err)
		}},
	{name: "account secured by an operator", reason: exeunt.ReasonSecured,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			_, err := w.Accounts.Secure(t.Context(), anOperator, s.session.Account)
			must(t, err)
		}},
	{name: "an identity system wants them out", reason: exeunt.ReasonRevoked,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			must(t, w.OAuth.RevokePerson(t.Context(), exeunt.Client{ID: "hr", Keys: []exeunt.TokenHash{{1}}, MayRevoke: true},
				oauth.Subject{Format: oauth.SubjectOpaque, ID: s.session.Account.String()}, netip.Addr{}))
		}},
	{name: "ended in a review", reason: exeunt.ReasonReview, end: ending(there, exeunt.ScopeSession, exeunt.ReasonReview)},
	{name: "the browser lost half of its credential", reason: exeunt.ReasonIncomplete, soon: true,
		end: func(t *testing.T, w *attachedNode, s *signedIn, _ []*attachment) {
			w.passed.Add((authority.RenewalGrace + time.Second).Milliseconds())
			half, _, _ := strings.Cut(w.pairOf(s), "; ")
			w.sends(http.MethodGet, w.Config.URL+"/", nil, "Cookie", half, "Sec-Fetch-Mode", "navigate")
		}},
	{name: "a code was presented twice", reason: exeunt.ReasonCodeReused,
		end: all(func(t *testing.T, w *attachedNode, _ *signedIn, a *attachment) {
			if _, err := w.exchange(a); exeunt.CodeOf(err) != exeunt.ErrCodeSpent.Code {
				t.Errorf("%s: %v", a.way.client, err)
			}
		})},
	{name: "an old refresh token was presented", reason: exeunt.ReasonRefreshReused, not: othersThan("refreshing"),
		end: all(func(t *testing.T, w *attachedNode, _ *signedIn, a *attachment) {
			old := a.tokens.Refresh
			if got := askRefresh(w, a); got != "in" {
				t.Fatal(got)
			}
			w.passed.Add((31 * time.Second).Milliseconds())
			next := a.tokens.Refresh
			a.tokens.Refresh = old
			if got := askRefresh(w, a); got != "out" {
				t.Errorf("the old one: %s", got)
			}
			a.tokens.Refresh = next
		})},
	{name: "not used for too long", reason: exeunt.ReasonIdle,
		end: func(_ *testing.T, w *attachedNode, _ *signedIn, _ []*attachment) {
			w.passed.Add((w.Config.Policy.Kept.Idle + time.Minute).Milliseconds())
		}},
	{name: "as old as it may be", reason: exeunt.ReasonAbsolute, prepare: func(t *testing.T, w *attachedNode, s *signedIn) {
		w.passed.Add((w.Config.Policy.Kept.Idle * 3 / 4).Milliseconds())
		ans := w.Authority.Check(t.Context(), authority.Credential{Token: s.token, Use: authority.AsPair})
		if !ans.Usable() {
			t.Fatal(ans.State)
		}
		w.Authority.Touch(ans)
	}, end: func(_ *testing.T, w *attachedNode, _ *signedIn, _ []*attachment) {
		w.passed.Add((w.Config.Policy.Kept.Idle * 3 / 4).Milliseconds())
	}},
	// Last, because nobody signs in to these apps any more. One with sessions of its own is not told: it has no address to
	// be told at any more.
	{name: "app removed", reason: exeunt.ReasonClientRemoved, not: []exeunt.ClientID{"told", "connected"}, unsure: true,
		end: func(t *testing.T, w *attachedNode, _ *signedIn, list []*attachment) {
			must(t, w.OAuth.Reconcile(t.Context(), nil, w.now()))
			for _, a := range list {
				if a.way.tier != exeunt.TierRelayed && a.way.tier != exeunt.TierProxied {
					_, err := w.operate.RemoveClient(t.Context(), anOperator, a.way.client)
					must(t, err)
				}
			}
		}},
}

func othersThan(id exeunt.ClientID) (list []exeunt.ClientID) {
	for _, of := range ways {
		if of.client != id {
			list = append(list, of.client)
		}
	}
	return list
}

// arrives is a sign-in with another device, from another network.
func (w *attachedNode) arrives(s *signedIn, from string) store.Recognised {
	w.t.Helper()
	address := netip.MustParseAddr(from)
	is, err := w.Accounts.Recognise(w.t.Context(), s.session.Account, account.Arrival{Kind: exeunt.KindKept, Agent: "Chrome on " + from,
		Device: exeunt.NewToken(exeunt.UseDevice), Address: address})
	must(w.t, err)
	_, _, err = w.Authority.Start(w.t.Context(), authority.SignIn{Proof: w.proofOf(s), Kind: exeunt.KindKept, Address: address, Recognised: is})
	must(w.t, err)
	return is
}

func newTOTP(now time.Time) store.FactorChange {
	return store.FactorChange{Add: &store.NewFactor{Data: []byte("key"), Factor: exeunt.Factor{ID: exeunt.NewFactorID(),
		Kind: exeunt.FactorTOTP, Name: "Phone", Created: now}}}
}

func (w *attachedNode) proofOf(s *signedIn) exeunt.Proof {
	w.t.Helper()
	proof, err := signin.Proof(w.SignIn.Password(w.t.Context(), s.handle, adasPassword, netip.Addr{}))
	must(w.t, err)
	return proof
}

func (w *attachedNode) prove(s *signedIn) account.Prove {
	return func(context.Context) (exeunt.Proof, error) { return w.proofOf(s), nil }
}

// pairOf is the Cookie header of their browser.
func (w *attachedNode) pairOf(s *signedIn) string {
	r := httptest.NewRecorder()
	w.browser.Cookies.SetPair(r, s.session.ID, s.token, exeunt.KindKept, time.Hour)
	var all []string
	for _, c := range r.Result().Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

func (w *attachedNode) accountOf(s *signedIn) exeunt.Account {
	a, err := w.Authority.Account(w.t.Context(), s.session.Account)
	must(w.t, err)
	return a
}
