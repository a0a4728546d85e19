package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
)

// otherwise are the tables that PersonalRecords has nothing of, with the reason.
var otherwise = map[string]string{
	"sessions": "by the list of sessions", "audit": "by the list of what was done", "events": "by the list of what was done",
	"group_sizes": "of nobody", "past_handles": "a keyed hash", "clients": "of apps", "connectors": "of apps", "cursors": "of the log",
	"log_head": "of the log", "outcomes": "IDs and hashes, for a day", "sealed_keys": "of the installation",
	"receipt_keys": "of the installation", "nodes": "of nodes", "marks": "of nodes",
}

// leftOut are the columns that nobody gets, of any table that has them or of the one that is named.
var leftOut = map[string]string{
	"account_id": "whose export it is", "registration": "a number of an event", "generation": "counts for programs",
	"credential_version": "counts for programs", "profile_version": "counts for programs", "last_ended": "counts for programs",
	"oldest_live": "a bound for programs", "hash": "of a secret", "token_hash": "of a secret", "password_hash": "of a secret",
	"email_key": "the address in another spelling", "factors.data": "a secret, or a public key", "factors.credential": "a number of the passkey",
	"factors.counter": "against replays", "app_sessions.refreshes": "a part of a secret", "codes.redirect_uri": "of the app",
	"codes.challenge": "of a secret", "codes.nonce": "of a secret", "challenges.data": "of a secret", "challenges.answer": "of a secret",
	"challenges.form": "what a page goes on with", "user_code": "a secret for ten minutes", "notices.device": "of a secret",
	"pictures.name": "is its address, for whoever knows it", "pictures.small": "the page shows it", "pictures.large": "the page shows it",
	"due": "when a program looks at it", "give_up": "when a program looks at it", "deliveries.seq": "a number of an event",
	"mails.recipient": "a keyed hash", "mails.sealed": "sealed", "reviews.items": "the sessions and apps that are listed elsewhere",
	"reviews.place": "where a page goes on", "invites.handle": "the account's", "invites.name": "empty", "invites.email": "empty",
	"invites.email_confirmed": "empty",
}

// Every column of a person's rows is exported, or it is known why not; and so is every table.
func TestNothingOfAPersonIsForgotten(t *testing.T) {
	s := newStore(t)
	for _, table := range s.schemaTables() {
		i := slices.IndexFunc(personal, func(of section) bool { return of.table == table })
		if (i < 0) != (otherwise[table] != "") {
			t.Errorf("%s: what does its owner get of it?", table)
		}
		if i < 0 {
			continue
		}
		rows, err := s.read.QueryContext(t.Context(), `SELECT * FROM `+table+` LIMIT 0`)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		rows.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, column := range columns {
			given := slices.ContainsFunc(personal[i].fields, func(f field) bool { return f.column == column })
			if given == (leftOut[column] != "" || leftOut[table+"."+column] != "") {
				t.Errorf("%s.%s: does its owner get it?", table, column)
			}
		}
	}
}

// Everything of somebody with something in every table comes once, page by page, without a secret, and nothing of others.
func TestPersonalRecords(t *testing.T) { onEachEngine(t, personalRecords) }

func personalRecords(t *testing.T, s *testStore) {
	a := s.full(HandleSum{1})
	other := s.account()
	s.changeGroup("staff", false, other.ID)
	for i := range 5 { // beyond one page
		s.mustExec(`INSERT INTO recovery_codes (account_id, number, hash, made) VALUES ($1, $2, $3, 1)`, a.ID.Bytes(), i+10,
			"SECRETHASH")
		s.mustExec(`INSERT INTO deliveries (account_id, session_id, client_id, seq, at, state, attempts, due, give_up, error)
			VALUES ($1, $2, $3, 1, 1, 'pending', 0, 1, 1, '')`, a.ID.Bytes(), exeunt.NewSessionID().Bytes(),
			"client"+fmt.Sprint(i%2))
		s.mustExec(`INSERT INTO consents (account_id, client_id, registration, scopes, at) VALUES ($1, $2, 1, 'openid email', 1)`,
			a.ID.Bytes(), fmt.Sprintf("c%d", i))
	}
	got := map[string][]Record{}
	for _, section := range PersonalSections() {
		var after exeunt.Cursor
		for first := true; first || after != ""; first = false {
			p, err := s.PersonalRecords(t.Context(), a.ID, section, after, 2)
			if err != nil || len(p.Items) > 2 {
				t.Fatalf("%s: %d, %v", section, len(p.Items), err)
			}
			got[section], after = append(got[section], p.Items...), p.Next
		}
	}
	for section, list := range got {
		want := 1
		switch section {
		case "groups":
			want = 2
		case "recovery_codes", "deliveries", "consents":
			want = 6
		}
		text, err := json.Marshal(list)
		if err != nil || len(list) != want {
			t.Errorf("%s: %d, not %d: %s (%v)", section, len(list), want, text, err)
		}
		for _, secret := range []string{"SECRETHASH", "old hash", other.Handle} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s has %q: %s", section, secret, text)
			}
		}
		for i := range list {
			if len(list[i]) == 0 {
				t.Errorf("%s has an empty record", section)
			}
			for _, twin := range list[:i] {
				if fmt.Sprint(twin) == fmt.Sprint(list[i]) {
					t.Errorf("%s comes twice: %v", section, twin)
				}
			}
		}
	}
	account, _ := json.Marshal(got["account"])
	for _, want := range []string{`"id":"` + a.ID.String(), `"handle":"gonehandle"`, `"email":"gone@mail.example"`,
		`"email_confirmed":true`, `"created":"2026-11-01T12:00:00Z"`} {
		if !strings.Contains(string(account), want) {
			t.Errorf("%s has no %s", account, want)
		}
	}
	if s := fmt.Sprint(got["consents"]); !strings.Contains(s, "[openid email]") || !strings.Contains(s, "client:c1") {
		t.Error(s)
	}
	if _, err := s.PersonalRecords(t.Context(), a.ID, "clients", "", 2); !errors.Is(err, exeunt.ErrNotFound) {
		t.Error(err)
	}
	for _, bad := range []exeunt.Cursor{"x", "00.00", "zz"} {
		if _, err := s.PersonalRecords(t.Context(), a.ID, "groups", bad, 2); !errors.Is(err, exeunt.ErrBadRequest) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
