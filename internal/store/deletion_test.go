package store

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

// ofNobody are the tables that DeleteDue leaves alone, with the reason.
var ofNobody = map[string]string{
	"accounts": "the row itself, which goes last", "account_groups": "goes with it", "group_sizes": "counts them",
	"past_handles": "a keyed hash", "clients": "of apps", "connectors": "of apps", "cursors": "of the log", "log_head": "of the log",
	"outcomes": "IDs and hashes, for a day", "sealed_keys": "of the installation", "receipt_keys": "of the installation", "nodes": "of nodes", "marks": "of nodes",
}

// schemaTables are the tables that the database has.
func (s *testStore) schemaTables() (list []string) {
	s.t.Helper()
	q := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if !s.traits.exits {
		q = `SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()`
	}
	rows, err := s.read.QueryContext(s.t.Context(), q)
	list, err = collect(rows, err, "tables", func(r rowScanner) (name string, err error) { return name, r.Scan(&name) })
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(name string) bool { return name == "goose_db_version" })
}

// Every table is deleted from, or it is known why not.
func TestNoTableIsForgottenByADeletion(t *testing.T) {
	s := newStore(t)
	known := map[string]bool{}
	for _, o := range owned {
		known[o.table] = true
	}
	for _, l := range logged {
		known[l.table] = true
	}
	for _, table := range s.schemaTables() {
		if known[table] == (ofNobody[table] != "") {
			t.Errorf("%s: what is left in it of a deleted account?", table)
		}
	}
}

// rowsWith returns the tables with a row that has the text or the bytes.
func (s *testStore) rowsWith(of any) (list []string) {
	s.t.Helper()
	want := []byte(fmt.Sprint(of))
	if raw, ok := of.([]byte); ok {
		want = raw
	}
	for _, table := range s.schemaTables() {
		rows, err := s.read.QueryContext(s.t.Context(), `SELECT * FROM `+table)
		if err != nil {
			s.t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			s.t.Fatal(err)
		}
		for rows.Next() {
			values, dest := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			if err := rows.Scan(dest...); err != nil {
				s.t.Fatal(err)
			}
			for i, v := range values {
				b, ok := v.([]byte)
				if !ok {
					b = fmt.Append(nil, v)
				}
				if bytes.Contains(bytes.ToLower(b), bytes.ToLower(want)) {
					list = append(list, table+"."+columns[i])
				}
			}
		}
		if err := rows.Err(); err != nil {
			s.t.Fatal(err)
		}
		rows.Close()
	}
	return list
}

// deleteDue works off what is due at a time.
func (s *testStore) deleteDue(now time.Time) {
	s.t.Helper()
	var e Erasure
	for more := true; more; {
		var err error
		if more, err = s.DeleteDue(s.t.Context(), &e, now); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *testStore) mustExec(q string, args ...any) {
	s.t.Helper()
	if err := s.commit(s.t.Context(), func(t *tx) error { _, err := t.exec(q, args...); return err }); err != nil {
		s.t.Fatal(err)
	}
}

// full is an account with something in every table.
func (s *testStore) full(sum HandleSum) exeunt.Account {
	s.t.Helper()
	ctx, t := s.t.Context(), s.t
	home := netip.MustParseAddr("203.0.113.77")
	link := exeunt.NewToken(exeunt.UseInvite).Hash()
	if _, err := s.AddInvite(ctx, link, Invite{Handle: "gonehandle", Name: "Gone Name", Email: "gone@mail.example",
		EmailConfirmed: true, Expires: epoch.Add(time.Hour)}, epoch); err != nil {
		t.Fatal(err)
	}
	a := exeunt.Account{ID: exeunt.NewAccountID(), Handle: "gonehandle", Name: "Gone Name", Email: "gone@mail.example",
		EmailConfirmed: true, Created: epoch, Generation: 1, CredentialVersion: 1}
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: a.ID, Label: "Gonebrowser", Address: home}
	if err := s.AddAccount(ctx, a, Credential{"old hash"}, &Origin{Link: &link}, by); err != nil {
		t.Fatal(err)
	}
	s.changeGroup("staff", false, a.ID)
	s.changeGroup("editors", false, a.ID)
	n := newSession(s.proof(a.ID), epoch)
	n.Session.Label, n.Session.UserAgent, n.Session.Address, n.Form = "Gonebrowser", "Goneagent/1", home, "a key"
	n.By.Label, n.By.Address = "Gonebrowser", home
	if _, err := s.StartSession(ctx, n); err != nil {
		t.Fatal(err)
	}
	v := n.Session
	for range maintenanceStep + 3 {
		s.session(a.ID)
	}
	for i := range maintenanceStep + 5 {
		if err := s.AddAudit(ctx, exeunt.AuditEntry{At: epoch.Add(time.Duration(i/9) * time.Second), Account: a.ID,
			Action: exeunt.AuditSignInFailed, By: by, Detail: "Gonedetail"}); err != nil {
			t.Fatal(err)
		}
	}
	id := a.ID.Bytes()
	s.mustExec(`INSERT INTO app_sessions (account_id, id, session_id, client_id, registration, token_hash, scopes, token_expires,
		refreshes, refreshed, started, seen) VALUES ($1, $2, $3, 'chirp', 1, $2, '', 0, 0, 0, 1, 1)`, id, exeunt.NewAppSessionID().Bytes(), v.ID.Bytes())
	s.mustExec(`INSERT INTO renewals (hash, account_id, session_id, at) VALUES ($2, $1, $3, 1)`, id, link[:], v.ID.Bytes())
	s.mustExec(`INSERT INTO codes (hash, account_id, session_id, client_id, registration, redirect_uri, challenge, scopes, nonce, expires,
		spent_at) VALUES ($2, $1, $3, 'chirp', 1, '', '', '', '', 1, 1)`, id, link[:], v.ID.Bytes())
	s.mustExec(`INSERT INTO device_codes (user_code, hash, client_id, registration, scopes, user_agent, address, expires, state, account_id)
		VALUES ('GONE', $2, 'tv', 1, '', 'Goneagent/1', '203.0.113.77', 1, 'allowed', $1)`, id, link[:])
	s.mustExec(`INSERT INTO consents (account_id, client_id, registration, scopes, at) VALUES ($1, 'chirp', 1, '', 1)`, id)
	s.mustExec(`INSERT INTO invites (hash, handle, name, email, email_key, email_confirmed, expires, account_id, spent_at)
		VALUES ($2, 'gonehandle', '', '', '', 0, 1, $1, 1)`, id, v.ID.Bytes())
	s.mustExec(`INSERT INTO factors (account_id, id, kind, name, data, counter, created, used, used_label, used_address)
		VALUES ($1, $2, 'totp', 'Gonephone', $2, 1, 1, 1, 'Gonebrowser', '203.0.113.77')`, id, link[:])
	s.mustExec(`INSERT INTO recovery_codes (account_id, number, hash, made) VALUES ($1, 1, 'h', 1)`, id)
	s.mustExec(`INSERT INTO mails (id, account_id, template, recipient, sealed, state, created, attempts, due, give_up, error)
		VALUES ($2, $1, 'test', $2, $2, 'pending', 1, 0, 1, 1, '')`, id, link[:])
	s.mustExec(`INSERT INTO deliveries (account_id, session_id, client_id, seq, at, state, attempts, due, give_up, error, finished)
		VALUES ($1, $2, 'chirp', 1, 1, 'confirmed', 1, 1, 1, '', 1)`, id, v.ID.Bytes())
	s.mustExec(`INSERT INTO messages (webhook, id, account_id, body, attempts, due, give_up, error, finished)
		VALUES ('siem', 'gone', $1, '', 1, 1, 1, 'timeout', 1)`, id)
	s.mustExec(`INSERT INTO reviews (account_id, started, items, place, kept, ended, finished) VALUES ($1, 1, 'gone', 1, 1, 1, 1)`, id)
	s.mustExec(`INSERT INTO securings (account_id, started, by_kind, ended, looked, finished) VALUES ($1, 1, 'person', 1, 'gone', 1)`, id)
	s.mustExec(`INSERT INTO pictures (account_id, name, small, large, hash, changed) VALUES ($1, 'gone', $2, $2, $2, 1)`, id, link[:])
	s.mustExec(`INSERT INTO links (hash, account_id, purpose, data, expires) VALUES ($2, $1, 'undo', 'gone@mail.example', 1)`, id, link[:])
	s.mustExec(`INSERT INTO devices (account_id, hash, agent, network, first_seen, last_seen, familiar)
		VALUES ($1, $2, 'Goneagent/1', '203.0.113.0/24', 1, 1, 1)`, id, link[:])
	s.mustExec(`INSERT INTO notices (account_id, id, kind, session_id, device, at, label, address, place, state)
		VALUES ($1, $2, 'unfamiliar_sign_in', $2, $3, 1, 'Gonebrowser', '203.0.113.77', 'Goneplace', 'open')`, id, v.ID.Bytes(), link[:])
	person := exeunt.Actor{Kind: exeunt.ActorPerson, Account: a.ID, Session: v.ID, Address: home}
	rev := endAll(a.ID)
	rev.Reason, rev.Key = exeunt.ReasonDeleted, "key"
	if _, err := s.End(ctx, person, rev, Change{Credential: 1, Deletion: &Deletion{After: epoch.Add(exeunt.DeletionGrace), Handle: sum,
		Reserved: epoch.Add(1000 * time.Hour)}}, epoch); err != nil {
		t.Fatal(err)
	}
	if err := s.AddChallenge(ctx, Challenge{Hash: link, Purpose: ChallengeKeep, Proof: exeunt.Proof{Account: a.ID},
		Form: "Goneform", Expires: epoch.Add(time.Hour)}, 5); err != nil {
		t.Fatal(err)
	}
	return a
}

// After seven days nothing is left of an account but IDs in the log. Others, in the same groups, have what they had.
func TestADeletedAccountIsGone(t *testing.T) { onEachEngine(t, aDeletedAccountIsGone) }

func aDeletedAccountIsGone(t *testing.T, s *testStore) {
	other := s.account()
	s.changeGroup("staff", false, other.ID)
	s.session(other.ID)
	a := s.full(HandleSum{1})
	s.deleteDue(epoch.Add(exeunt.DeletionGrace)) // an app may have to be told: the log has not been read
	if got, err := s.Account(t.Context(), a.ID); err != nil || got.Status != exeunt.AccountDeleting {
		t.Fatalf("before the log was read: %+v, %v", got, err)
	}
	s.readLog()
	s.mustExec(`UPDATE deliveries SET finished = NULL, state = 'pending'`)
	s.deleteDue(epoch.Add(exeunt.DeletionGrace))
	if got, err := s.Account(t.Context(), a.ID); err != nil || got.Status != exeunt.AccountDeleting {
		t.Fatalf("while an app must be told: %+v, %v", got, err)
	}
	s.mustExec(`UPDATE deliveries SET finished = 1, state = 'gave_up'`)
	s.deleteDue(epoch.Add(exeunt.DeletionGrace - time.Millisecond))
	if len(s.rowsWith("Gone Name")) == 0 {
		t.Fatal("deleted too early")
	}
	now := epoch.Add(exeunt.DeletionGrace)
	s.deleteDue(now)
	if _, err := s.KeepAccount(t.Context(), Keep{Account: a.ID}, operator, now); err != exeunt.ErrDeleting {
		t.Errorf("kept while it is deleted: %v", err)
	}
	if at := s.rowsWith("Gone Name"); at != nil {
		t.Errorf("the name is in %v", at)
	}
	// Some steps, a crash, and all again.
	now = now.Add(unreadLog)
	var crashed Erasure
	for range 6 {
		if _, err := s.DeleteDue(t.Context(), &crashed, now); err != nil {
			t.Fatal(err)
		}
	}
	s.deleteDue(now)
	for _, text := range []string{"gone", "203.0.113.77"} {
		if at := s.rowsWith(text); at != nil {
			t.Errorf("%q is in %v", text, at)
		}
	}
	for _, at := range s.rowsWith(a.ID.Bytes()) {
		if table, _, _ := strings.Cut(at, "."); table != "events" && table != "audit" && table != "outcomes" {
			t.Errorf("the ID is in %s", at)
		}
	}
	_, err := s.Account(t.Context(), a.ID)
	wantErr(t, err, exeunt.ErrNotFound)
	if past, err := s.PastHandle(t.Context(), HandleSum{1}, now); !past || err != nil {
		t.Errorf("the handle may be taken: %v", err)
	}
	if past, _ := s.PastHandle(t.Context(), HandleSum{1}, epoch.Add(1000*time.Hour)); past {
		t.Error("the handle may never be taken")
	}
	if n := s.count(`SELECT count(*) FROM audit WHERE account_id = $1 AND action = 'account_deleted'`, a.ID.Bytes()); n != 1 {
		t.Errorf("%d entries say that it was deleted", n)
	}
	if g, err := s.Group(t.Context(), "staff"); err != nil || g.Members != 1 {
		t.Errorf("%+v, %v", g, err)
	}
	if err := s.AddAudit(t.Context(), exeunt.AuditEntry{At: now, Account: a.ID, Action: exeunt.AuditSignInFailed,
		By: exeunt.Actor{Label: "Gone"}}); err != nil || s.rowsWith("Gone") != nil {
		t.Errorf("a late entry brings it back: %v", err)
	}
	if live := s.count(`SELECT live_sessions FROM accounts WHERE id = $1`, other.ID.Bytes()); live != 1 {
		t.Errorf("the other account has %d sessions", live)
	}
	s.checkLog()
}

// Who has proved who they are keeps the account, once; a disabled one stays disabled.
func TestKeepingAnAccount(t *testing.T) { onEachEngine(t, keepingAnAccount) }

func keepingAnAccount(t *testing.T, s *testStore) {
	begin := func(a exeunt.Account) {
		rev := endAll(a.ID)
		rev.Reason = exeunt.ReasonDeleted
		if _, err := s.End(t.Context(), operator, rev, Change{Deletion: &Deletion{After: epoch.Add(exeunt.DeletionGrace), Handle: HandleSum{2},
			Reserved: epoch.Add(1000 * time.Hour)}}, epoch); err != nil {
			t.Fatal(err)
		}
	}
	a := s.account()
	begin(a)
	p := s.proof(a.ID)
	if _, err := s.StartSession(t.Context(), newSession(p, epoch)); err != exeunt.ErrSignInAgain {
		t.Fatalf("a session of an account that is about to be deleted: %v", err)
	}
	hash := exeunt.NewToken(exeunt.UseChallenge).Hash()
	if err := s.AddChallenge(t.Context(), Challenge{Hash: hash, Purpose: ChallengeKeep, Proof: p, Expires: epoch.Add(time.Minute)}, 5); err != nil {
		t.Fatal(err)
	}
	k := Keep{Account: a.ID, Handle: HandleSum{2}, Challenge: hash}
	if _, err := s.KeepAccount(t.Context(), Keep{Account: a.ID, Challenge: exeunt.TokenHash{9}}, operator, epoch); err != exeunt.ErrChallengeOver {
		t.Errorf("kept without a proof: %v", err)
	}
	for i, again := range []bool{false, true} {
		if already, err := s.KeepAccount(t.Context(), k, operator, epoch); err != nil || already != again {
			t.Errorf("%d: already %v, %v", i, already, err)
		}
	}
	if past, _ := s.PastHandle(t.Context(), HandleSum{2}, epoch); past {
		t.Error("its handle is one of the past")
	}
	if _, err := s.StartSession(t.Context(), newSession(p, epoch)); err != nil {
		t.Errorf("the same proof starts no session: %v", err)
	}
	s.deleteDue(epoch.Add(2 * exeunt.DeletionGrace))
	if got, err := s.Account(t.Context(), a.ID); err != nil || got.Status != exeunt.AccountActive || !got.DeleteAfter.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	off := s.account()
	if _, err := s.End(t.Context(), operator, endAll(off.ID), Change{Status: exeunt.AccountDisabled}, epoch); err != nil {
		t.Fatal(err)
	}
	begin(off)
	if got, err := s.Account(t.Context(), off.ID); err != nil || got.Status != exeunt.AccountDisabled || got.DeleteAfter.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.KeepAccount(t.Context(), Keep{Account: off.ID}, operator, epoch); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Account(t.Context(), off.ID); err != nil || got.Status != exeunt.AccountDisabled || !got.DeleteAfter.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}
