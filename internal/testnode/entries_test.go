package testnode_test

import (
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// An entry of the log that cannot be read stops the log, not the truth: nobody
// is let in by memory that may lack an end, and nobody is called signed out.
func TestAnEntryThatCannotBeRead(t *testing.T) {
	server, n, stays, goes, s := aloneWithTwo(t)
	// Entry 1 is nonsense; entry 2, behind it, ends a session.
	server.Exec(t, "test1", `BEGIN;
		UPDATE log_head SET seq = 1, touched = touched + 1;
		INSERT INTO events (seq, at, kind, account_id, scope, session_id, app_session_id, client_id, generation, version, reason,
			by_kind, by_account, by_session, by_label, by_address)
			SELECT 1, 1, 'ended', account_id, 'session', '\x010203', '\x00000000000000000000000000000000', '', 0, 0, 'signed_out',
			'system', account_id, id, '', '' FROM sessions LIMIT 1;
		COMMIT`)
	until(t, n, stays, live.Indeterminate)
	n.SignOut(t, s)
	until(t, n, goes, live.Ended)
	until(t, n, stays, live.Indeterminate)
	server.Exec(t, "test1", `UPDATE events SET session_id = '\x01020304050607080910111213141516' WHERE seq = 1`)
	until(t, n, stays, live.Usable)
	until(t, n, goes, live.Ended)
}

// An entry of a kind, or of a scope, that only a newer program knows: what it has
// ended, the store is asked.
func TestAnEntryFromANewerProgram(t *testing.T) {
	for name, entry := range map[string]string{
		"scope": `'ended', account_id, 'shared_ones'`, "kind": `'moved', account_id, ''`, "kind of no account": `'moved', NULL, ''`,
	} {
		t.Run(name, func(t *testing.T) { anEntryFromANewerProgram(t, entry) })
	}
}

func anEntryFromANewerProgram(t *testing.T, entry string) {
	server, n, stays, goes, _ := aloneWithTwo(t)
	server.Exec(t, "test1", `BEGIN;
		UPDATE log_head SET seq = 1, touched = touched + 1;
		UPDATE sessions SET ended_at = 1, ended_reason = 'signed_out', ended_by = 'operator', ended_by_label = '' WHERE kind = 'shared';
		INSERT INTO events (seq, at, kind, account_id, scope, session_id, app_session_id, client_id, generation, version, reason,
			by_kind, by_account, by_session, by_label, by_address)
			SELECT 1, 1, `+entry+`, id, '\x00000000000000000000000000000000', '', 0, 0, 'signed_out',
			'system', account_id, id, '', '' FROM sessions LIMIT 1;
		COMMIT`)
	until(t, n, goes, live.Ended)
	until(t, n, stays, live.Usable)
}

// aloneWithTwo is a node that knows two sessions, one kept and one shared, whose
// server is the test's own.
func aloneWithTwo(t *testing.T) (server *testpg.Server, n *testnode.Node, kept, shared exeunt.Token, ends exeunt.Session) {
	t.Helper()
	server = testpg.New(t)
	// Without clients, so that the log is empty.
	n = testnode.New(t, testnode.Options{Database: server.NewDatabase(t), Staleness: staleness, Clients: []exeunt.Client{}})
	p := n.NewAccount(t, "ada")
	kept, _ = n.NewSession(t, p, exeunt.KindKept)
	shared, ends = n.NewSession(t, p, exeunt.KindShared)
	until(t, n, kept, live.Usable)
	until(t, n, shared, live.Usable)
	return server, n, kept, shared, ends
}
