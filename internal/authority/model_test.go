package authority

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/store"
)

// The model: what a person would say is true after each step.
type modelAccount struct {
	id         exeunt.AccountID
	disabled   bool
	credential int64
	stale      exeunt.Proof // a proof from some time ago
	staleCode  exeunt.Token // and a code
	staleFrom  *modelSession
	staleSince time.Time
	others     int  // how often others were ended since the limit was free
	fenced     bool // something has happened since that the proof must not survive
}

type modelSession struct {
	account *modelAccount
	token   exeunt.Token
	s       exeunt.Session
	seen    time.Time
	ended   exeunt.Reason
	apps    []*modelApp
}

type modelApp struct {
	token exeunt.Token
	id    exeunt.AppSessionID
	since time.Time
	ended exeunt.Reason
}

// addApp adds an app session; the oldest beyond the limit ends with it.
func (v *modelSession) addApp(p *modelApp) {
	var others []*modelApp
	for _, old := range v.apps {
		if old.ended == "" {
			others = append(others, old)
		}
	}
	slices.SortFunc(others, func(a, b *modelApp) int {
		return cmp.Or(b.since.Compare(a.since), bytes.Compare(a.id.Bytes(), b.id.Bytes()))
	})
	for _, old := range others[min(len(others), store.MaxAppSessions-1):] {
		old.ended = exeunt.ReasonReplaced
	}
	v.apps = append(v.apps, p)
}

type machine struct {
	n        *node
	accounts []*modelAccount
	sessions []*modelSession
	old      []exeunt.Token // that were replaced
}

func (m *machine) close(v *modelSession, why exeunt.Reason) bool {
	if v.ended != "" {
		return false
	}
	v.ended = why
	return true
}

// closeAll ends the account's sessions except keep, and returns how many.
func (m *machine) closeAll(a *modelAccount, keep *modelSession, why exeunt.Reason) (n int64) {
	for _, v := range m.sessions {
		if v.account == a && v != keep && m.close(v, why) {
			n++
		}
	}
	a.fenced = true
	return n
}

func (m *machine) pickAccount(t *rapid.T) *modelAccount {
	return rapid.SampledFrom(m.accounts).Draw(t, "account")
}

func (m *machine) pick(t *rapid.T) *modelSession {
	if len(m.sessions) == 0 {
		t.Skip("no session yet")
	}
	return rapid.SampledFrom(m.sessions).Draw(t, "session")
}

func (m *machine) signIn(t *rapid.T) {
	m.signInFrom(t, m.pickAccount(t), "")
}

func (m *machine) signInOver(t *rapid.T) {
	m.signInFrom(t, m.pickAccount(t), "over")
}

func (m *machine) signInStale(t *rapid.T) {
	m.signInFrom(t, m.pickAccount(t), "stale")
}

func (m *machine) signInFrom(t *rapid.T, a *modelAccount, how string) {
	in := SignIn{Proof: m.n.proof(a.id),
		Kind: rapid.SampledFrom([]exeunt.SessionKind{exeunt.KindKept, exeunt.KindShared, exeunt.KindApp}).Draw(t,
			"kind")}
	refused := a.disabled
	var over *modelSession
	switch how {
	case "over":
		over = m.pick(t)
		in.Replaces = over.s.ID
	case "stale":
		in.Proof = a.stale
		refused = refused || a.fenced
	}
	token, s, err := m.n.Start(ctx, in)
	if refused {
		if !errors.Is(err, exeunt.ErrSignInAgain) {
			t.Fatalf("a sign-in that must be refused: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	m.sessions = append(m.sessions, &modelSession{account: a, token: token, s: s, seen: m.n.Now()})
	if over != nil {
		m.close(over, exeunt.ReasonReplaced)
	}
}

// takeProof proves the account and gets a code, to be used some steps later.
func (m *machine) takeProof(t *rapid.T) {
	a := m.pickAccount(t)
	a.stale, a.fenced = m.n.proof(a.id), false
	if v := m.pick(t); v.ended == "" {
		v.account.staleCode, v.account.staleFrom, v.account.staleSince = m.n.grant(v.s), v, m.n.Now()
	}
}

func (m *machine) exchangeLater(t *rapid.T) {
	a := m.pickAccount(t)
	if a.staleCode.IsZero() {
		t.Skip("no code")
	}
	v := a.staleFrom
	token, ans, err := m.n.StartApp(ctx, exchange(a.staleCode))
	// The clock moves in steps of more than a code's life, and the code is good once.
	good := v.ended == "" && m.n.Now().Sub(a.staleSince) < codeLife
	a.staleCode = exeunt.Token{}
	if (err == nil) != good {
		t.Fatalf("a code whose session is %q: %v", v.ended, err)
	}
	if err == nil {
		v.addApp(&modelApp{token: token, id: ans.App, since: m.n.Now()})
	}
}

func (m *machine) endSession(t *rapid.T) {
	v := m.pick(t)
	out, err := m.n.End(ctx, personIn(v.s), endOne(v.s))
	closed := m.close(v, exeunt.ReasonSignedOut)
	// A repeated sign-out of one's own session returns the first outcome.
	if err != nil || out.Already == closed || closed && out.Ended != 1 {
		t.Fatalf("end session: %+v, %v; the model closed it: %v", out, err, closed)
	}
}

func (m *machine) endAppSession(t *rapid.T) {
	v := m.pick(t)
	if len(v.apps) == 0 {
		t.Skip("no app session")
	}
	p := rapid.SampledFrom(v.apps).Draw(t, "app")
	out, err := m.n.End(ctx, personIn(v.s), endApp(v.s, p.id))
	if err != nil || out.Already != (p.ended != "") {
		t.Fatalf("end app session: %+v, %v", out, err)
	}
	if p.ended == "" {
		p.ended = exeunt.ReasonSignedOut
	}
}

func (m *machine) endOthers(t *rapid.T) {
	keep := m.pick(t)
	out, next, err := m.n.EndOthers(ctx, personIn(keep.s), keep.token, "")
	if keep.account.others == perAccount.Burst {
		if !errors.As(err, new(*exeunt.ThrottledError)) {
			t.Fatalf("others, once too often: %v", err)
		}
		return
	}
	if keep.ended != "" {
		if !errors.Is(err, exeunt.ErrSignedOut) {
			t.Fatalf("keeping an ended session: %v", err)
		}
		return
	}
	if n := m.closeAll(keep.account, keep, exeunt.ReasonSignedOut); err != nil || out.Ended != n {
		t.Fatalf("others: %+v, %v; the model closed %d", out, err, n)
	}
	m.renew(keep, next, exeunt.ReasonRenewed)
	keep.account.others++
}

func (m *machine) endAccount(t *rapid.T) {
	a := m.pickAccount(t)
	out, err := m.n.End(ctx, operator, endAll(a.id))
	if n := m.closeAll(a, nil, exeunt.ReasonSignedOut); err != nil || out.Ended != n {
		t.Fatalf("account: %+v, %v; the model closed %d", out, err, n)
	}
}

func (m *machine) changePassword(t *rapid.T) {
	keep := m.pick(t)
	based := keep.account.credential - rapid.Int64Range(0, 1).Draw(t, "behind")
	out, next, err := m.n.ReplacePassword(ctx, personIn(keep.s), keep.token, "", "another hash", based)
	switch {
	case keep.ended != "":
		if !errors.Is(err, exeunt.ErrSignedOut) {
			t.Fatalf("from an ended session: %v", err)
		}
	case based != keep.account.credential:
		if !errors.Is(err, exeunt.ErrSignInAgain) {
			t.Fatalf("based on an older password: %v", err)
		}
	default:
		keep.account.credential++
		if n := m.closeAll(keep.account, keep, exeunt.ReasonPasswordChange); err != nil || out.Ended != n {
			t.Fatalf("password: %+v, %v; the model closed %d", out, err, n)
		}
		m.renew(keep, next, exeunt.ReasonPasswordChange)
	}
}

// renew gives a session another token, and ends what may have been begun with the old one. Using it was activity.
func (m *machine) renew(v *modelSession, next exeunt.Token, why exeunt.Reason) {
	m.old = append(m.old, v.token)
	v.token, v.seen = next, m.n.Now()
	for _, p := range v.apps {
		p.ended = cmp.Or(p.ended, why)
	}
	if v.account.staleFrom == v {
		v.account.staleSince = time.Time{} // the code is gone
	}
}

func (m *machine) disable(t *rapid.T) {
	a := m.pickAccount(t)
	out, err := m.n.Disable(ctx, operator, a.id)
	a.disabled = true
	if n := m.closeAll(a, nil, exeunt.ReasonDisabled); err != nil || out.Ended != n {
		t.Fatalf("disable: %+v, %v; the model closed %d", out, err, n)
	}
}

func (m *machine) enable(t *rapid.T) {
	a := m.pickAccount(t)
	if err := m.n.store.Enable(ctx, a.id, operator, m.n.Now()); err != nil {
		t.Fatalf("enable: %v", err)
	}
	a.disabled = false
}

func (m *machine) exchangeApp(t *rapid.T) {
	v := m.pick(t)
	if v.ended != "" {
		t.Skip("it has ended")
	}
	token, id := m.n.appSession(v.s)
	v.addApp(&modelApp{token: token, id: id, since: m.n.Now()})
}

func (m *machine) use(t *rapid.T) {
	v := m.pick(t)
	token := v.token
	if len(v.apps) > 0 && rapid.Bool().Draw(t, "by app") {
		p := rapid.SampledFrom(v.apps).Draw(t, "app")
		if token = p.token; p.ended != "" {
			m.n.Touch(m.n.check(ctx, token)) // no activity
			return
		}
	}
	m.n.Touch(m.n.check(ctx, token))
	if v.ended == "" {
		v.seen = m.n.Now()
	}
}

func (m *machine) wait(t *rapid.T) {
	m.n.clock.add(time.Duration(rapid.IntRange(1, 70).Draw(t, "minutes")) * time.Minute)
	m.freePlaces()
	now := m.n.Now()
	for _, v := range m.sessions {
		s := v.s
		s.Seen = v.seen
		if why := s.Overdue(now); why != "" {
			m.close(v, why)
		}
	}
	if rapid.Bool().Draw(t, "swept") {
		m.maintain(t)
	}
}

func (m *machine) maintain(t *rapid.T) {
	if err := m.n.Maintain(ctx); err != nil {
		t.Fatalf("maintenance: %v", err)
	}
}

func (m *machine) restart(t *rapid.T) {
	if err := m.n.FlushActivity(ctx); err != nil {
		t.Fatalf("flush: %v", err)
	}
	m.n.restart()
	m.freePlaces()
}

// freePlaces: of the throttle, by time or because it has forgotten.
func (m *machine) freePlaces() {
	for _, a := range m.accounts {
		a.others = 0
	}
}

// agree holds the model against memory, lists, counters and reasons.
func (m *machine) agree(t *rapid.T) {
	for _, v := range m.sessions {
		m.agreeOn(t, v.token, v.ended)
		for _, p := range v.apps {
			why := p.ended
			if why == "" {
				why = v.ended
			}
			m.agreeOn(t, p.token, why)
		}
	}
	for _, old := range m.old {
		if state := m.n.check(ctx, old).State; state != live.Renewed && state != live.Ended && state != live.NoSuch {
			t.Fatalf("memory says %v of a token that was replaced", state)
		}
	}
	m.n.drain()
	for _, a := range m.accounts {
		m.agreeOnLists(t, a)
	}
}

func (m *machine) agreeOn(t *rapid.T, token exeunt.Token, ended exeunt.Reason) {
	if state := m.n.check(ctx, token).State; (state == live.Usable) != (ended == "") || state == live.Indeterminate ||
		state == live.NoSuch {
		t.Fatalf("memory says %v of a session that ended for %q", state, ended)
	}
}

func (m *machine) agreeOnLists(t *rapid.T, a *modelAccount) {
	active, err1 := m.n.sessions(a.id, exeunt.SessionsActive)
	ended, err2 := m.n.sessions(a.id, exeunt.SessionsEnded)
	account, err3 := m.n.Account(ctx, a.id)
	count, err4 := m.n.CountSessions(ctx, exeunt.SessionFilter{Account: a.id, State: exeunt.SessionsEnded})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatalf("lists: %v", err)
	}
	nActive, nEnded := 0, 0
	for _, v := range m.sessions {
		if v.account != a {
			continue
		}
		list := active
		if nActive++; v.ended != "" {
			list = ended
			nActive, nEnded = nActive-1, nEnded+1
		}
		i := slices.IndexFunc(list, func(s exeunt.Session) bool { return s.ID == v.s.ID })
		if i < 0 {
			t.Fatalf("a session that ended for %q is in the wrong list", v.ended)
		}
		got := list[i]
		if v.ended != "" && (got.End == nil || got.End.Reason != v.ended) || v.ended == "" &&
			(got.End != nil || !got.Seen.Equal(v.seen)) {
			t.Fatalf("listed as %+v, seen %v; the model says %q, seen %v", got.End, got.Seen, v.ended, v.seen)
		}
		apps := 0
		for _, app := range v.apps {
			if app.ended == "" {
				apps++
			}
		}
		if len(got.Apps) != min(apps, store.MaxApps) || got.AppCount != int64(apps) {
			t.Fatalf("%d app sessions are listed and %d counted of %d", len(got.Apps), got.AppCount, apps)
		}
	}
	if len(active) != nActive || len(ended) != nEnded || count != int64(nEnded) ||
		account.LiveSessions != int64(nActive) {
		t.Fatalf("%d active, %d ended, %d counted ended, %d counted live; the model says %d and %d",
			len(active), len(ended), count, account.LiveSessions, nActive, nEnded)
	}
	if (account.Status == exeunt.AccountDisabled) != a.disabled || account.CredentialVersion != a.credential {
		t.Fatalf("the account is %+v", account)
	}
}

// Random sequences of everything that can happen to sessions, against a model.
func TestSessionsFollowTheModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bound(t, "rapid.checks", "6")
	rapid.Check(t, func(t *rapid.T) {
		n := openNode(t, dir+"/"+exeunt.NewSessionID().String()+".db", newClock())
		t.Cleanup(func() { n.store.Close() })
		m := &machine{n: n}
		for range 2 {
			a := &modelAccount{id: n.account(), credential: 1}
			a.stale = n.proof(a.id)
			m.accounts = append(m.accounts, a)
		}
		t.Repeat(map[string]func(*rapid.T){
			"": m.agree, "sign in": m.signIn, "sign in again": m.signIn, "sign in over": m.signInOver,
			"sign in late": m.signInStale,
			"prove":        m.takeProof, "exchange late": m.exchangeLater, "end": m.endSession,
			"end app": m.endAppSession,
			"others":  m.endOthers,
			"account": m.endAccount, "password": m.changePassword, "disable": m.disable, "enable": m.enable,
			"app": m.exchangeApp, "app again": m.exchangeApp,
			"use": m.use, "use again": m.use, "wait": m.wait, "maintain": m.maintain, "restart": m.restart,
		})
	})
}

// bound makes a property test short, unless a flag asks for more.
func bound(t *testing.T, name, value string) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if !given {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
}
