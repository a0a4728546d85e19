package authority

import (
	"context"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// SignIn is a request to start a session.
type SignIn struct {
	Proof     exeunt.Proof
	Kind      exeunt.SessionKind
	Label     string // what people read; cut and cleaned
	UserAgent string
	Address   netip.Addr
	// Replaces is the live session whose credential the same browser holds. It ends with this sign-in, because the
	// browser loses that credential.
	Replaces exeunt.SessionID
	// Form is the key of the form that was sent, "" when it has none. Sent twice, it starts one session: Token makes the
	// credential of a session that this form starts, the same whenever it is asked and for nobody without the form.
	Form  string
	Token func(exeunt.SessionID, time.Time) exeunt.Token
	// Kiosk, if not nil, is the one that the browser is on: its limits hold where they are shorter.
	Kiosk *exeunt.Kiosk
	// Recognised is what account.Recognise has returned; the zero value remembers and tells nothing.
	Recognised store.Recognised
	// Renews is the token that this browser holds, of Replaces or of a session that was just renewed. A session of the
	// same account and kind goes on with another token instead of being replaced. Zero when it holds none.
	Renews exeunt.Token
	// GoesOn: the session that Renews is of goes on, or there is ErrSignInAgain; no other one is started. Its next token
	// follows from Renews and Key, the key of the form with the proof: see Repeated.
	GoesOn bool
	Key    string
	// Language is that of the pages on which somebody signs in. The account's mails are in it, unless another was chosen;
	// "" says nothing.
	Language string
}

const maxUserAgent = 400

// Start starts a session and returns its credential, which is stored nowhere else. The credential is always new, so
// that one planted in the browser before the sign-in is useless (OWASP ASVS 5.0, 7.2.4); only a form that is sent
// again while its session is live gets the credential of that session. Outcomes: nil;
// ErrSignInAgain, when the account changed since the proof; ErrFactorNeeded, for an app's session; ErrRenewed, when the token to renew has just been renewed;
// ErrUnavailable; ErrNotConfirmed, when it may or may not have been started: nobody has its credential, and it times out.
func (a *Authority) Start(ctx context.Context, in SignIn) (exeunt.Token, exeunt.Session, error) {
	if err := a.mayStart(ctx, in); err != nil {
		return exeunt.Token{}, exeunt.Session{}, err
	}
	policy := a.policy
	if in.Kiosk != nil {
		policy = policy.OnKiosk(*in.Kiosk)
	}
	now, limits := a.now(), policy.For(in.Kind)
	id, token := exeunt.NewSessionID(), exeunt.NewToken(exeunt.UseSession)
	if in.Form != "" {
		token = in.Token(id, now)
	}
	n := store.NewSession{
		Hash: token.Hash(), Proof: in.Proof, Replaces: in.Replaces, Due: now.Add(a.retention.Ended), Form: in.Form, GoesOn: in.GoesOn,
		Recognised: in.Recognised, Language: in.Language, Most: policy.MaxSessions, Policy: policy,
		Session: exeunt.Session{
			ID: id, Account: in.Proof.Account, Kind: in.Kind, Label: CleanLabel(in.Label),
			UserAgent: cut(in.UserAgent, maxUserAgent), Address: in.Address,
			LastAddress: in.Address, Methods: in.Proof.Methods,
			Proved:  in.Proof.At,
			Started: now, Seen: now, Idle: limits.Idle, ExpiresAt: now.Add(limits.Absolute),
			Generation: in.Proof.Generation,
		},
	}
	n.By = exeunt.Actor{Kind: exeunt.ActorPerson, Account: in.Proof.Account, Session: n.Session.ID,
		Label: n.Session.Label, Address: in.Address}
	again := exeunt.NewToken(exeunt.UseSession)
	if !in.Renews.IsZero() {
		switch {
		case in.Form != "":
			again = in.Token(in.Replaces, now)
		case in.GoesOn && in.Key != "":
			again = a.successors(in.Renews, in.Key)[0]
		}
		n.Renews = exeunt.Renewal{From: in.Renews.Hash(), To: again.Hash()}
	}
	started, err := a.store.StartSession(ctx, n)
	if err != nil {
		return exeunt.Token{}, exeunt.Session{}, err
	}
	n.Session.ID, n.Session.Idle, n.Session.ExpiresAt = started.Session, started.Idle, started.Expires
	switch {
	case started.Hash == again.Hash():
		token = again
	case started.Already:
		if token = in.Token(started.Session, started.At); token.Hash() != started.Hash {
			return exeunt.Token{}, exeunt.Session{}, exeunt.ErrSignInAgain // the key of the tokens has changed between
		}
	}
	// The session is durable. Its first check loads it into memory, as any other. Pages that list sessions look
	// again.
	a.feed.Wake(in.Proof.Account)
	return token, n.Session, nil
}

// AskAgain makes the proof of the actor's own session too old to count for a change: the next one asks for another.
func (a *Authority) AskAgain(ctx context.Context, by exeunt.Actor) error {
	of := exeunt.Target{Account: by.Account, Session: by.Session}
	return a.store.AgeProof(ctx, of, a.now().Add(-a.policy.Fresh))
}

// CleanLabel cuts and cleans what an app or browser calls itself. What was cut shows it.
func CleanLabel(s string) string {
	s = strings.Join(strings.Fields(printable(s)), " ")
	if r := []rune(s); len(r) > exeunt.MaxLabelLen {
		s = strings.TrimSpace(string(r[:exeunt.MaxLabelLen-1])) + "…"
	}
	return s
}

// printable removes what is not text, such as terminal control sequences. White space becomes spaces.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
}

func cut(s string, n int) string {
	if s = printable(s); len(s) > n {
		const more = "…"
		s = strings.ToValidUTF8(s[:n-len(more)], "") + more
	}
	return s
}
