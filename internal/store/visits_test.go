package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/exeunt/exeunt"
)

// visits counts what the statements of a store have looked at: pages of a file, rows and index entries of a server's
// tables. Unlike time it tells a plan that depends on the size of an account, or of the installation, on any
// machine.
type visits struct {
	*testStore
	outside *sql.DB
}

func newVisits(s *testStore) *visits {
	s.read.SetMaxOpenConns(1) // whose counters are asked for
	db, _, _ := s.outside()
	s.t.Cleanup(func() { db.Close() })
	return &visits{s, db}
}

// of returns how many f visits.
func (v *visits) of(f func() error) int64 {
	v.t.Helper()
	before := v.total()
	if err := f(); err != nil {
		v.t.Fatal(err)
	}
	return v.total() - before
}

func (v *visits) total() (n int64) {
	v.t.Helper()
	reader, err := v.read.Conn(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	defer reader.Close()
	conns := []*sql.Conn{reader, v.tx.conn}
	if v.traits.sole {
		for _, c := range conns {
			n += pagesVisited(v.t, c)
		}
		return n
	}
	for _, c := range conns {
		if _, err := c.ExecContext(v.t.Context(), `SELECT pg_stat_force_next_flush()`); err != nil {
			v.t.Fatal(err)
		}
		if _, err := c.ExecContext(v.t.Context(), `SELECT 1`); err != nil { // at whose end they are flushed
			v.t.Fatal(err)
		}
	}
	if err := v.outside.QueryRow(`SELECT COALESCE(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables`).
		Scan(&n); err != nil {
		v.t.Fatal(err)
	}
	var index int64
	if err := v.outside.QueryRow(`SELECT COALESCE(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes`).
		Scan(&index); err != nil {
		v.t.Fatal(err)
	}
	return n + index
}

func pagesVisited(t testing.TB, c *sql.Conn) (n int64) {
	t.Helper()
	err := c.Raw(func(driver any) error {
		for _, what := range []sqlite.DBStatusOp{sqlite.DBStatusCacheHit, sqlite.DBStatusCacheMiss} {
			now, _, err := driver.(sqlite.DBStatus).Status(what, false)
			if err != nil {
				return err
			}
			n += int64(now)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fill makes a large installation: one account with many sessions, and many accounts with ten each. Everything began
// at epoch or shortly before.
func (s *testStore) fill(big exeunt.AccountID, ofOne, ofMany int) {
	s.t.Helper()
	numbers, hash := `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)`, `randomblob(%d)`
	id := func(prefix, i string) string {
		return fmt.Sprintf(`CAST(substr('%s' || printf('%%015d', %s), 1, 16) AS BLOB)`, prefix, i)
	}
	if Shared(s.url) {
		numbers, hash = `WITH n (i) AS (SELECT generate_series(1, %d))`, `substr(sha256(random()::text::bytea), 1, %d)`
		id = func(prefix, i string) string {
			return fmt.Sprintf(`convert_to(substr('%s' || lpad((%s)::text, 15, '0'), 1, 16), 'UTF8')`, prefix, i)
		}
	}
	of := func(n int) string { return fmt.Sprintf(numbers, n) }
	const sessions = `INSERT INTO sessions (account_id, id, token_hash, kind, label, user_agent, address, methods,
		proved_at, started, seen, idle, expires, due, generation) `
	rest := fmt.Sprintf(`, 'kept', 'a browser', '', '', 'password', %d, %[1]d - 10 * i, %[1]d, 3600000, %[1]d + 86400000,
		%[1]d + 3600000, 1 FROM n`, ms(epoch))
	random := func(n int) string { return fmt.Sprintf(hash, n) }
	const others = 40_000 // rows of tables beside
	quiet := `PRAGMA synchronous = OFF`
	if Shared(s.url) {
		quiet = `SET synchronous_commit = off`
	}
	db, _, _ := s.outside()
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, q := range []string{
		quiet,
		of(ofMany/10) + ` INSERT INTO accounts (id, handle, name, email, email_key, email_confirmed, display,
		profile_version, password_hash, password_set,
			status, created, generation, credential_version, live_sessions, last_ended)
			SELECT ` + id("a", "i") + `, 'many' || i, '', '', '', 0, 'system', 1, '', 0, 'active', 0, 1, 1, 10, 0
			FROM n`,
		of(ofMany/10) + ` INSERT INTO account_groups (account_id, name, added)
			SELECT ` + id("a", "i") + `, 'everyone', ` + fmt.Sprint(ms(epoch)) + ` FROM n`,
		of(ofMany/10) + ` INSERT INTO account_groups (account_id, name, added)
			SELECT ` + id("a", "i") + `, 'only-' || i, ` + fmt.Sprint(ms(epoch)) + ` FROM n`,
		of(ofMany/10) + ` INSERT INTO group_sizes (name, members) SELECT 'only-' || i, 1 FROM n`,
		fmt.Sprintf(`INSERT INTO group_sizes (name, members) VALUES ('everyone', %d)`, ofMany/10),
		of(ofMany) + sessions + `SELECT ` + id("a", "(i + 9) / 10") + `, ` + random(16) + `, ` + random(32) + rest,
		of(ofOne) + sessions + fmt.Sprintf(`SELECT %s, `, s.literal(big.Bytes())) + random(16) + `, ` + random(32) +
			rest, fmt.Sprintf(`UPDATE accounts SET live_sessions = live_sessions + %d WHERE id = %s`, ofOne,
			s.literal(big.Bytes())), of(others) +
			` INSERT INTO audit (seq, account_id, at, action, by_kind, by_label, by_address, detail)
			SELECT 0, ` + id("a", "1") + fmt.Sprintf(`, %d - i, 'sign_in', 'person', '', '', '' FROM n`, ms(epoch)),
		of(others) + ` INSERT INTO outcomes (actor, key, request, seq, ended, at) SELECT 'system', 'k' || i, '', 0, 0,
		` + fmt.Sprint(ms(epoch)) + ` FROM n`,
		of(others) + ` INSERT INTO codes (hash, account_id, session_id, client_id, redirect_uri, challenge, scopes, nonce, registration, expires)
			SELECT ` + random(32) + `, ` + id("a", "i") + `, ` + random(16) + `, 'chirp', '', '', '', '', 0, ` +
			fmt.Sprint(ms(epoch)) + ` FROM n`,
		of(others) + ` INSERT INTO device_codes (user_code, hash, client_id, registration, scopes, user_agent, address, expires, state)
			SELECT 'code' || i, ` + random(32) + `, 'app' || (i % 500), 0, '', '', '', ` + fmt.Sprint(ms(epoch.Add(time.Hour))) +
			`, 'waiting' FROM n`,
		of(others) + ` INSERT INTO invites (hash, handle, name, email, email_key, email_confirmed, expires)
			SELECT ` + random(32) + `, 'guest' || i, '', '', '', 0, ` + fmt.Sprint(ms(epoch)) + ` FROM n`,
		`ANALYZE`,
	} {
		if _, err := db.Exec(q); err != nil {
			s.t.Fatalf("%.300s: %v", q, err)
		}
	}
}

// fillApps gives a session 300 app sessions, and 20,000 that were ended by themselves.
func (s *testStore) fillApps(v exeunt.Session) {
	s.t.Helper()
	q := `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20300)`
	random := `randomblob(%d)`
	if Shared(s.url) {
		q, random = `WITH n (i) AS (SELECT generate_series(1, 20300))`, `substr(sha256(random()::text::bytea), 1, %d)`
	}
	db, _, _ := s.outside()
	defer db.Close()
	if _, err := db.Exec(fmt.Sprintf(q+` INSERT INTO app_sessions
		(account_id, id, session_id, client_id, registration, token_hash, scopes, token_expires, refreshes, refreshed, started, seen, ended_at, ended_reason, ended_by)
		SELECT %s, `+fmt.Sprintf(random, 16)+`, %s, 'app' || (i %% 500), 0, `+fmt.Sprintf(random, 32)+`, '', 0, 0, 0, %d, %[3]d,
		CASE WHEN i > 300 THEN %[3]d END, 'replaced', 'system' FROM n`,
		s.literal(v.Account.Bytes()), s.literal(v.ID.Bytes()), ms(epoch))); err != nil {
		s.t.Fatal(err)
	}
	if _, err := db.Exec(`ANALYZE app_sessions`); err != nil {
		s.t.Fatal(err)
	}
}

// fillDeliveries adds 20,000 that are pending, of two clients, and as many that are not.
func (s *testStore) fillDeliveries() {
	s.t.Helper()
	q, random := `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)`, `randomblob(16)`
	if Shared(s.url) {
		q, random = `WITH n (i) AS (SELECT generate_series(1, 40000))`, `substr(sha256(random()::text::bytea), 1, 16)`
	}
	db, _, _ := s.outside()
	defer db.Close()
	for _, q := range []string{fmt.Sprintf(q+` INSERT INTO deliveries (account_id, session_id, client_id, seq, at, state,
		attempts, due, give_up, error, finished) SELECT `+random+`, `+random+`, CASE WHEN i %% 8 < 7 THEN 'chirp' ELSE 'other' END,
		1, %d, 'pending', 0, %[1]d, %[1]d, '', CASE WHEN i %% 2 = 0 THEN %[1]d END FROM n`, ms(epoch)), `ANALYZE deliveries`} {
		if _, err := db.Exec(q); err != nil {
			s.t.Fatal(err)
		}
	}
}

// fillMails adds 20,000 that were sent or refused to an account, and 2,000 that are pending.
func (s *testStore) fillMails(of exeunt.AccountID) {
	s.t.Helper()
	q, random := `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 22000)`, `randomblob(16)`
	if Shared(s.url) {
		q, random = `WITH n (i) AS (SELECT generate_series(1, 22000))`, `substr(sha256(random()::text::bytea), 1, 16)`
	}
	db, _, _ := s.outside()
	defer db.Close()
	for _, q := range []string{fmt.Sprintf(q+` INSERT INTO mails (id, account_id, template, recipient, sealed, state,
		created, attempts, due, give_up, error, finished) SELECT `+random+`, CASE WHEN i > 2000 THEN %s ELSE `+random+` END,
		'sort', `+random+`, `+random+`, CASE WHEN i <= 2000 THEN 'pending' WHEN i %% 2 = 0 THEN 'sent' ELSE 'refused' END,
		%d + i, 0, %[2]d, %[2]d, '', CASE WHEN i > 2000 THEN %[2]d END FROM n`, s.literal(of.Bytes()), ms(epoch)),
		`ANALYZE mails`} {
		if _, err := db.Exec(q); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *testStore) literal(b []byte) string {
	if Shared(s.url) {
		return fmt.Sprintf(`'\x%x'::bytea`, b)
	}
	return fmt.Sprintf(`x'%x'`, b)
}

// What one sign-in, one ending or one step of maintenance looks at does not depend on how many sessions the account
// has, nor on how many there are.
func TestWhatAStatementVisits(t *testing.T) {
	onEachEngine(t, whatAStatementVisits)
}

func whatAStatementVisits(t *testing.T, s *testStore) {
	ofOne, ofMany := 100_000, 1_000_000
	if testing.Short() {
		ofOne, ofMany = 20_000, 40_000
	}
	big, small := s.account(), s.account()
	s.session(small.ID) // which opens the committer's connection
	s.fill(big.ID, ofOne, ofMany)
	v := newVisits(s)
	if n := v.of(func() error {
		_, err := s.read.ExecContext(t.Context(), `SELECT count(*) FROM sessions WHERE label = 'none'`)
		return err
	}); n < int64(ofOne)/50 {
		t.Fatalf("a reading of all sessions seems to visit no more than %d", n)
	}
	const single, step = 300, 40 * maintenanceStep
	check := func(what string, most int64, f func() error) {
		t.Helper()
		if n := v.of(f); n > most {
			t.Errorf("%s visits %d pages or rows, more than %d", what, n, most)
		} else {
			t.Logf("%s: %d", what, n)
		}
	}
	many := func(n int, f func(i int) error) func() error {
		return func() error {
			errs := make([]error, n)
			release := s.hold()
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() { errs[i] = f(i) })
				s.queued(i + 1)
			}
			release()
			wg.Wait()
			for _, err := range errs {
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	start := func(a exeunt.Account) (v exeunt.Session, hash exeunt.TokenHash) {
		n := newSession(s.proof(a.ID), epoch)
		if _, err := s.StartSession(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		return n.Session, n.Hash
	}
	end := func(rev exeunt.Revocation, by exeunt.Actor) error {
		_, err := s.End(context.Background(), by, rev, Change{}, epoch.Add(time.Minute))
		return err
	}
	var sessions []exeunt.Session
	for range 2 * maintenanceStep {
		v, _ := start(big)
		sessions = append(sessions, v)
	}
	check("a sign-in", single, func() error { start(big); return nil })
	one, hash := start(big)
	check("the first sight of a token", single,
		func() error { _, err := s.Load(t.Context(), exeunt.UseSession, hash); return err })
	check("a sign-out", single, func() error {
		return end(endOne(one), exeunt.Actor{Kind: exeunt.ActorPerson, Account: big.ID, Session: one.ID})
	})
	check("a sign-out of another session", single, func() error {
		return end(endOne(sessions[0]), exeunt.Actor{Kind: exeunt.ActorPerson, Account: big.ID,
			Session: sessions[1].ID})
	})
	keyed := endOne(sessions[1])
	keyed.Key = "once"
	check("an ending with a key", single, func() error { return end(keyed, exeunt.System()) })
	check("many endings", step, many(maintenanceStep,
		func(i int) error { return end(endOne(sessions[i+2]), exeunt.System()) }))
	check("activity", step, func() error {
		var list []exeunt.Activity
		for _, v := range sessions[maintenanceStep:] {
			list = append(list, exeunt.Activity{Account: v.Account, Session: v.ID, Seen: epoch.Add(2 * time.Minute)})
		}
		return s.SaveActivity(t.Context(), list)
	})
	for _, remove := range []bool{false, true} {
		check("a change of a large group", single, func() error {
			_, err := s.ChangeGroup(t.Context(), GroupChange{Group: "everyone", Accounts: []exeunt.AccountID{big.ID},
				Remove: remove}, operator, epoch)
			return err
		})
	}
	for what, after := range map[string]exeunt.Cursor{"first": "", "later": exeunt.Cursor(fmt.Sprintf("%d.%x", ms(epoch),
		"a000000000000999"))} {
		members := func() error {
			p, err := s.Members(t.Context(), exeunt.MemberFilter{Group: "everyone", After: after, Limit: 50})
			if err == nil && len(p.Items) != 50 {
				err = fmt.Errorf("%d members", len(p.Items))
			}
			return err
		}
		for range 6 { // see list below
			if err := members(); err != nil {
				t.Error(err)
			}
		}
		check("the "+what+" page of a large group", 1000, members)
	}
	check("a page of many groups", 1000, func() error {
		_, err := s.Groups(t.Context(), exeunt.GroupFilter{After: "only-2", Limit: 50})
		return err
	})
	keep, _ := start(big)
	check("a page of many active sessions", 3*accountStep, func() error {
		_, err := s.Sessions(t.Context(), exeunt.SessionFilter{Account: big.ID, Limit: 50})
		return err
	})
	for i := range 301 {
		s.register(exeunt.ClientID(fmt.Sprint("app", i)))
	}
	s.fillApps(keep)
	check("a session with many app sessions", 5*single, func() error {
		v, err := s.Session(t.Context(), big.ID, keep.ID)
		if v.AppCount != 300 {
			t.Errorf("%d app sessions are counted", v.AppCount)
		}
		return err
	})
	check("whether somebody has left an app", 2*single, func() error {
		_, err := s.LeftApp(t.Context(), big.ID, keep.ID, "app7")
		return err
	})
	check("what an account has in one app", 2*single, func() error {
		_, err := s.AppUses(t.Context(), AppFilter{Account: big.ID, Client: "app7", Limit: 100})
		return err
	})
	check("what a session has in one app", 2*single, func() error {
		_, err := s.AppUses(t.Context(), AppFilter{Account: big.ID, Client: "app7", Session: keep.ID, Limit: 100})
		return err
	})
	check("what an account has in all apps", 2000, func() error {
		apps, err := s.AppUses(t.Context(), AppFilter{Account: big.ID, Limit: 100})
		if len(apps) != 100 {
			t.Errorf("%d app sessions", len(apps))
		}
		return err
	})
	s.register("phone")
	s.fillMails(big.ID)
	check("mails that are queued", 2*single, func() error {
		return s.QueueMails(t.Context(), epoch.Add(2*time.Hour), aMail(big.ID, "other"), aMail(small.ID, "other"))
	})
	for range 6 { // see list below
		if _, _, err := s.NextMail(t.Context()); err != nil {
			t.Error(err)
		}
	}
	check("the next mail, its claim and its outcome", 2*single, func() error {
		if _, _, err := s.NextMail(t.Context()); err != nil {
			return err
		}
		list, err := s.ClaimMails(t.Context(), epoch.Add(3*time.Hour), epoch.Add(4*time.Hour), 4)
		if err != nil || len(list) != 4 {
			return fmt.Errorf("%d mails: %w", len(list), err)
		}
		list[0].State, list[0].Finished = exeunt.MailSent, epoch
		return s.RecordMail(t.Context(), list[0].Mail)
	})
	for _, state := range []exeunt.MailState{"", exeunt.MailRefused} {
		mails := func() error {
			_, err := s.Mails(t.Context(), exeunt.MailFilter{State: state, Limit: 50,
				After: exeunt.Cursor(fmt.Sprintf("%d.%s", ms(epoch)+10_000, exeunt.NewMailID()))})
			return err
		}
		for range 6 {
			if err := mails(); err != nil {
				t.Error(err)
			}
		}
		check(fmt.Sprintf("a page of mails %q", state), 1000, mails)
	}
	code := Exchange{Code: exeunt.NewToken(exeunt.UseCode).Hash(), Client: "phone", App: exeunt.NewAppSessionID(),
		Hash: exeunt.NewToken(exeunt.UseApp).Hash(), Expires: epoch.Add(time.Hour)}
	own := newSession(s.proof(big.ID), epoch)
	code.Own = &own
	check("a sign-in of a device's app", 4*single, func() error {
		err := s.AddCode(t.Context(), code.Code, Code{Account: big.ID, Session: keep.ID, Client: "phone",
			Expires: epoch.Add(time.Hour)})
		if err == nil {
			err = s.ExchangeCode(t.Context(), code, epoch)
		}
		return err
	})
	check("a device that asks, is found and is allowed", 4*single, func() error {
		d := Device{UserCode: "BCDFGHJK", Hash: exeunt.NewToken(exeunt.UseCode).Hash(), Client: "phone",
			Expires: epoch.Add(time.Hour)}
		_, err := s.AddDevice(t.Context(), d, 1000, epoch)
		if err == nil {
			_, err = s.DeviceByUserCode(t.Context(), d.UserCode, epoch)
		}
		if err == nil {
			err = s.AllowDevice(t.Context(), d.UserCode, Code{Account: big.ID, Session: keep.ID}, epoch)
		}
		if err == nil {
			_, err = s.DeviceByCode(t.Context(), d.Hash)
		}
		return err
	})
	check("a refresh", 2*single, func() error { // the server reads small tables as a whole
		_, err := s.RefreshApp(t.Context(), Refresh{Account: big.ID, App: code.App, Client: "phone",
			Hash: exeunt.NewToken(exeunt.UseTimed).Hash(), Expires: epoch.Add(time.Hour)}, epoch)
		return err
	})
	check("the number of app sessions of a client with many", single+300, func() error {
		n, err := s.CountAppsOf(t.Context(), "app7")
		if n.Count != 1 { // of 300 on 500 clients
			t.Errorf("%d app sessions of a client are counted", n.Count)
		}
		return err
	})
	check("all others", single, func() error { return end(endOthers(keep), exeunt.System()) })
	// An account's lists read a page, whatever the account's size: the newest, the oldest, and a search in vain.
	const page, walked = 4 * accountStep, 12 * accountStep
	list := func(f exeunt.SessionFilter) func() error {
		f.Account = big.ID
		read := func() error { _, err := s.Sessions(t.Context(), f); return err }
		for range 6 { // the server plans a statement anew for its first five executions
			if err := read(); err != nil {
				t.Error(err)
			}
		}
		return read
	}
	lists := func(when string, state exeunt.SessionState) {
		for what, f := range map[string]exeunt.SessionFilter{"a page": {Limit: 50}, "a later page": {Limit: 50,
			After: cursorAfter(epoch.Add(-time.Minute), exeunt.NewSessionID())}} {
			f.State = state
			if state == exeunt.SessionsEnded && f.After != "" {
				f.After = endedPlace{at: ms(epoch.Add(time.Minute)), seq: 1 << 40}.cursor()
			}
			check(fmt.Sprintf("%s, %s of those %s", when, what, state), page, list(f))
		}
		check(fmt.Sprintf("%s, a search among those %s", when, state), walked,
			list(exeunt.SessionFilter{State: state, Search: "no such label"}))
		check(fmt.Sprintf("%s, the number of those %s", when, state), 20, func() error {
			_, err := s.CountSessions(t.Context(), exeunt.SessionFilter{Account: big.ID, State: state})
			return err
		})
	}
	// What happened to an account is read in the same way: a page, and a filter that finds nothing.
	var history exeunt.AccountID
	if err := s.read.QueryRowContext(t.Context(), `SELECT account_id FROM audit WHERE action = 'sign_in'
		GROUP BY account_id ORDER BY count(*) DESC LIMIT 1`).Scan(&history); err != nil {
		t.Fatal(err)
	}
	for _, id := range []exeunt.AccountID{history, big.ID} {
		for what, f := range map[string]exeunt.AuditFilter{"the newest": {Limit: 50}, "a later": {Limit: 50,
			After: exeunt.Cursor(fmt.Sprintf("%d.0.20000", ms(epoch)-20_000))}} {
			f.Account = id
			read := func() error { _, err := s.Audit(t.Context(), f); return err }
			for range 6 { // see list above
				if err := read(); err != nil {
					t.Error(err)
				}
			}
			check(what+" page of what happened", page, read)
		}
	}
	check("a filter of what happened that finds nothing", 4*walked, func() error {
		p, err := s.Audit(t.Context(), exeunt.AuditFilter{Account: history, Only: func(exeunt.AuditEntry) bool { return false }})
		if err == nil && (len(p.Items) != 0 || p.Next == "") {
			err = fmt.Errorf("%d entries, next %q", len(p.Items), p.Next)
		}
		return err
	})
	check("those that have timed out", walked, func() error {
		_, err := s.OverdueOf(t.Context(), big.ID, epoch.Add(time.Minute), 500)
		return err
	})
	lists("all but one have ended", exeunt.SessionsActive)
	lists("all but one have ended", exeunt.SessionsEnded)
	everyone := func() error {
		_, err := s.Sessions(t.Context(), exeunt.SessionFilter{Everyone: true})
		return err
	}
	check("a page of everyone's sessions", 20*walkStep, everyone)
	check("the whole account", single, func() error { return end(endAll(big.ID), exeunt.System()) })
	last, err := s.LastPlace(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	receipt := func() error {
		r, err := s.Ending(t.Context(), last.Seq, s.event(last.Seq).At)
		if err == nil {
			err = s.AddEnded(t.Context(), &r, 50)
		}
		return err
	}
	for range 6 { // see list above
		if err := receipt(); err != nil {
			t.Error(err)
		}
	}
	check("what a receipt of the whole account's end says", page, receipt)
	check("a page of everyone's sessions, many of which have ended", 20*walkStep, everyone)
	for i := range 4 {
		check(fmt.Sprint("step ", i+1, " of writing the ends"), step,
			func() error { _, err := s.WriteEnds(t.Context(), epoch); return err })
	}
	lists("all have ended", exeunt.SessionsActive)
	lists("all have ended", exeunt.SessionsEnded)
	for id, change := range map[exeunt.ClientID]func() error{
		"app7": func() error { return s.RemoveClient(t.Context(), "app7", operator, epoch) },
		"app8": func() error {
			_, err := s.ChangeClient(t.Context(), "app8", operator, epoch, func(c *exeunt.Client) error {
				*c = newClient(c.ID)
				c.Groups = []string{"only-1"}
				return nil
			})
			return err
		},
	} {
		s.exec(`UPDATE clients SET source = 'operator' WHERE id = '` + string(id) + `'`)
		check("the removal or narrowing of a client", 4*single, change)
		for i := range 4 {
			check(fmt.Sprint("step ", i+1, " of what it leaves"), step,
				func() error { _, err := s.WriteEnds(t.Context(), epoch); return err })
		}
	}
	s.fillDeliveries()
	first := exeunt.Delivery{Account: big.ID, Session: keep.ID, Client: "chirp"}
	check("the step of one ended session", single, func() error {
		_, _, _, err := s.Participations(t.Context(), &exeunt.Event{Kind: exeunt.EventEnded, Target: endOne(keep).Target},
			Participation{})
		return err
	})
	check("the step of a renewal", single, func() error {
		_, _, _, err := s.Participations(t.Context(), &exeunt.Event{Kind: exeunt.EventRenewed, At: epoch.Add(time.Hour),
			Target: exeunt.Target{Account: big.ID, Session: keep.ID}}, Participation{})
		return err
	})
	check("a step of many ended sessions", step, func() error {
		for range 6 {
			_, _, _, err := s.Participations(t.Context(), &exeunt.Event{Kind: exeunt.EventEnded,
				Target: exeunt.Target{Account: big.ID, Scope: exeunt.ScopeAccount}, Generation: 3},
				Participation{Session: keep.ID, Client: "app2"})
			if err != nil {
				return err
			}
		}
		return nil
	})
	check("who has to be told", single, func() error { _, err := s.OwingClients(t.Context()); return err })
	check("what is due", single, func() error {
		for range 6 {
			list, err := s.DueDeliveries(t.Context(), "chirp", epoch.Add(time.Hour), 4)
			if err != nil || len(list) != 4 {
				return fmt.Errorf("%d are due, %w", len(list), err)
			}
			first = list[0]
		}
		return nil
	})
	check("an attempt", single, func() error {
		list, err := s.ClaimDeliveries(t.Context(), []exeunt.Delivery{first}, epoch.Add(time.Hour))
		if err != nil || len(list) != 1 {
			return fmt.Errorf("%d were claimed, %w", len(list), err)
		}
		list[0].State, list[0].Finished = exeunt.DeliveryConfirmed, epoch
		return s.RecordAttempt(t.Context(), list[0], epoch)
	})
	check("whom a session's end was told", single, func() error {
		_, err := s.Deliveries(t.Context(), big.ID, keep.ID)
		return err
	})
	check("how it stands with the clients", 4*maxCounted, func() error {
		_, err := s.DeliveryTotals(t.Context())
		return err
	})
	for i := range 2 {
		check(fmt.Sprint("step ", i+1, " of what is due before apps are told"), step, func() error {
			_, _, err := s.WorkOffDue(t.Context(), Retention{Ended: time.Hour, Audit: time.Hour}, epoch.Add(25*time.Hour))
			return err
		})
	}
	s.readLog()
	r, later := Retention{Ended: time.Hour, Audit: time.Hour}, epoch.Add(26*time.Hour)
	for i := range 3 {
		check(fmt.Sprint("step ", i+1, " of what is due"), step,
			func() error { _, _, err := s.WorkOffDue(t.Context(), r, later); return err })
	}
	for i := range 2 {
		check(fmt.Sprint("step ", i+1, " of deleting what is old"), step*3/2, // of all tables
			func() error { _, err := s.Purge(t.Context(), r, epoch.Add(49*time.Hour)); return err })
	}
}
