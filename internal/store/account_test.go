package store

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
)

func person(handle, email string, confirmed bool) exeunt.Account {
	return exeunt.Account{ID: exeunt.NewAccountID(), Handle: handle, Name: handle, Email: email,
		EmailConfirmed: confirmed, Created: epoch}
}

// An address identifies only once confirmed: anybody can type a stranger's.
func TestOnlyAConfirmedAddressIdentifies(t *testing.T) {
	onEachEngine(t, onlyAConfirmedAddressIdentifies)
}

func onlyAConfirmedAddressIdentifies(t *testing.T, s *testStore) {
	squatter, owner := person("squatter", "Ada@Example.com", false), person("ada", "ada@example.com", true)
	for _, a := range []exeunt.Account{squatter, owner} {
		if err := s.AddAccount(t.Context(), a, Credential{a.Handle + "'s"}, nil, exeunt.System()); err != nil {
			t.Fatal(err)
		}
	}
	for identifier, want := range map[string]exeunt.AccountID{"ada": owner.ID, "@ADA": owner.ID,
		" ada@EXAMPLE.com ": owner.ID, "squatter": squatter.ID} {
		got, c, err := s.Identify(t.Context(), identifier)
		if err != nil || got.ID != want || c.PasswordHash != got.Handle+"'s" {
			t.Errorf("%q names %s (%v)", identifier, got.Handle, err)
		}
	}
	for _, identifier := range []string{"", "nobody", "nobody@example.com", "@", "'; DROP TABLE accounts; --"} {
		_, _, err := s.Identify(t.Context(), identifier)
		wantErr(t, err, exeunt.ErrNotFound)
	}
	// No statement may fail over it, since that would undo its neighbours too.
	_, err := s.ConfirmEmail(t.Context(), squatter.ID, "ada@example.com", exeunt.System(), epoch, Confirmation{})
	wantErr(t, err, exeunt.ErrEmailTaken)
	other := person("other", "other@example.com", true)
	if err := s.AddAccount(t.Context(), other, Credential{}, nil, exeunt.System()); err != nil {
		t.Fatal(err)
	}
	// Only the address that was named is confirmed, and it must be the account's.
	for _, email := range []string{"ADA@example.com", "", " ", "next@example.com"} {
		_, err = s.ConfirmEmail(t.Context(), other.ID, email, exeunt.System(), epoch, Confirmation{})
		wantErr(t, err, exeunt.ErrOtherEmail)
	}
	nobody := person("nobody", "", false)
	if err := s.AddAccount(t.Context(), nobody, Credential{}, nil, exeunt.System()); err != nil {
		t.Fatal(err)
	}
	_, err = s.ConfirmEmail(t.Context(), nobody.ID, "", exeunt.System(), epoch, Confirmation{})
	wantErr(t, err, exeunt.ErrOtherEmail)
	_, err = s.ConfirmEmail(t.Context(), exeunt.NewAccountID(), "x@example.com", exeunt.System(), epoch, Confirmation{})
	wantErr(t, err, exeunt.ErrNotFound)
	if got, err := s.Account(t.Context(), other.ID); err != nil || got.Email != "other@example.com" ||
		!got.EmailConfirmed {
		t.Errorf("refused, and yet: %+v, %v", got, err)
	}
	s.checkLog()
}

func TestAChangedAddressIsUnconfirmedAgain(t *testing.T) {
	onEachEngine(t, aChangedAddressIsUnconfirmedAgain)
}

func aChangedAddressIsUnconfirmedAgain(t *testing.T, s *testStore) {
	a := person("ada", "ada@example.com", true)
	if err := s.AddAccount(t.Context(), a, Credential{}, nil, exeunt.System()); err != nil {
		t.Fatal(err)
	}
	name, same, next, none := "Ada L.", "ADA@example.com", "new@example.com", ""
	dark := exeunt.DisplayDark
	for i, c := range []struct {
		change    ProfileChange
		confirm   string
		email     string
		confirmed bool
	}{
		{ProfileChange{Name: &name, Display: &dark}, "", "ada@example.com", true},
		{ProfileChange{Email: &same}, "", same, true},
		{ProfileChange{Email: &next}, "", next, false},
		{ProfileChange{}, "NEW@example.com", next, true},
		{ProfileChange{Email: &none}, "", "", false},
	} {
		p, err := s.ChangeProfile(t.Context(), a.ID, c.change, exeunt.System(), epoch)
		if c.confirm != "" {
			p, err = s.ConfirmEmail(t.Context(), a.ID, c.confirm, exeunt.System(), epoch, Confirmation{})
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Account(t.Context(), a.ID)
		if err != nil || got.Email != c.email || got.EmailConfirmed != c.confirmed || got.Name != name ||
			got.Display != dark {
			t.Errorf("step %d: %+v, %v", i, got, err)
		}
		if shown := map[bool]string{true: c.email}[c.confirmed]; p.Email != shown || p.Version < int64(i)+2 ||
			p.Name != name || p.Display != dark {
			t.Errorf("step %d: the profile is %+v", i, p)
		}
	}
	// Changing nothing records no event.
	before := s.count(`SELECT (SELECT seq FROM log_head) + (SELECT count(*) FROM audit)`)
	was, err := s.Account(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := s.ChangeProfile(t.Context(), a.ID, ProfileChange{Name: &was.Name, Email: &was.Email}, exeunt.System(),
		epoch); err != nil || p.Name != was.Name {
		t.Errorf("%+v, %v", p, err)
	}
	if n := s.count(`SELECT (SELECT seq FROM log_head) + (SELECT count(*) FROM audit)`); n != before {
		t.Error("nothing was changed, and yet it is recorded")
	}
	_, err = s.ChangeProfile(t.Context(), exeunt.NewAccountID(), ProfileChange{Name: &name}, exeunt.System(), epoch)
	wantErr(t, err, exeunt.ErrNotFound)
}

func TestTakenNamesAreRefusedByTheirOwnName(t *testing.T) {
	onEachEngine(t, takenNamesAreRefusedByTheirOwnName)
}

func takenNamesAreRefusedByTheirOwnName(t *testing.T, s *testStore) {
	if err := s.AddAccount(t.Context(), person("ada", "ada@example.com", true), Credential{}, nil,
		exeunt.System()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.AddAccount(t.Context(), person("ada", "", false), Credential{}, nil, exeunt.System()),
		exeunt.ErrHandleTaken)
	wantErr(t, s.AddAccount(t.Context(), person("eve", "Ada@example.com", true), Credential{}, nil, exeunt.System()),
		exeunt.ErrEmailTaken)
	if err := s.AddAccount(t.Context(), person("eve", "Ada@example.com", false), Credential{}, nil,
		exeunt.System()); err != nil {
		t.Errorf("an unconfirmed address tells nothing about others: %v", err)
	}
}

// An invite is spent and its account created, both or neither.
func TestInvites(t *testing.T) { onEachEngine(t, invites) }

func invites(t *testing.T, s *testStore) {
	if err := s.AddAccount(t.Context(), person("ada", "ada@example.com", true), Credential{}, nil,
		exeunt.System()); err != nil {
		t.Fatal(err)
	}
	invite := func() exeunt.TokenHash {
		h := exeunt.NewToken(exeunt.UseInvite).Hash()
		if _, err := s.AddInvite(t.Context(), h,
			Invite{Handle: "eve", Email: "ada@example.com", EmailConfirmed: true, Expires: epoch.Add(time.Hour)},
			epoch); err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := invite()
	for _, c := range []struct {
		a    exeunt.Account
		want error
	}{{person("ada", "", false), exeunt.ErrHandleTaken},
		{person("eve", "ada@example.com", true), exeunt.ErrEmailTaken}} {
		wantErr(t, s.AddAccount(t.Context(), c.a, Credential{}, &Origin{Link: &h}, exeunt.System()), c.want)
		if _, err := s.Invite(t.Context(), h, epoch); err != nil {
			t.Errorf("%v, and the invite is spent: %v", c.want, err)
		}
	}
	if v, err := s.Invite(t.Context(), h, epoch); err != nil || v.Email != "ada@example.com" || !v.EmailConfirmed {
		t.Errorf("the invite says %+v, %v", v, err)
	}
	if err := s.AddAccount(t.Context(), person("eve", "eve@example.com", true), Credential{}, &Origin{Link: &h},
		exeunt.System()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.AddAccount(t.Context(), person("mallory", "", false), Credential{}, &Origin{Link: &h}, exeunt.System()),
		exeunt.ErrInviteSpent)
	_, err := s.Invite(t.Context(), h, epoch)
	wantErr(t, err, exeunt.ErrInviteSpent)

	late := person("late", "", false)
	late.Created = epoch.Add(time.Hour)
	h = invite()
	wantErr(t, s.AddAccount(t.Context(), late, Credential{}, &Origin{Link: &h}, exeunt.System()), exeunt.ErrInviteSpent)
	_, err = s.Invite(t.Context(), h, late.Created)
	wantErr(t, err, exeunt.ErrInviteSpent)
	unknown := exeunt.NewToken(exeunt.UseInvite).Hash()
	wantErr(t, s.AddAccount(t.Context(), person("mallory", "", false), Credential{}, &Origin{Link: &unknown}, exeunt.System()),
		exeunt.ErrInviteSpent)
	if _, _, err := s.Identify(t.Context(), "mallory"); !errors.Is(err, exeunt.ErrNotFound) {
		t.Errorf("an account without an invite: %v", err)
	}
}

// The first account's link is valid only while there is no account, and a newer one replaces an older.
func TestTheFirstInvite(t *testing.T) { onEachEngine(t, theFirstInvite) }

func theFirstInvite(t *testing.T, s *testStore) {
	older, newer := exeunt.NewToken(exeunt.UseInvite).Hash(), exeunt.NewToken(exeunt.UseInvite).Hash()
	for _, h := range []exeunt.TokenHash{older, newer} {
		if _, err := s.AddInvite(t.Context(), h, Invite{Expires: epoch.Add(time.Hour)}, epoch); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, s.AddAccount(t.Context(), person("ada", "", false), Credential{}, &Origin{Link: &older}, exeunt.System()),
		exeunt.ErrInviteSpent)
	if err := s.AddAccount(t.Context(), person("ada", "", false), Credential{}, nil, exeunt.System()); err != nil {
		t.Fatal(err)
	}
	_, err := s.Invite(t.Context(), newer, epoch)
	wantErr(t, err, exeunt.ErrInviteSpent)
	wantErr(t, s.AddAccount(t.Context(), person("eve", "", false), Credential{}, &Origin{Link: &newer}, exeunt.System()),
		exeunt.ErrInviteSpent)
}

func TestAccountsAreListedInPages(t *testing.T) { onEachEngine(t, accountsAreListedInPages) }

func accountsAreListedInPages(t *testing.T, s *testStore) {
	if any, err := s.AnyAccount(t.Context()); any || err != nil {
		t.Errorf("a new store has accounts: %v, %v", any, err)
	}
	for _, h := range []string{"carol", "ada", "bob"} {
		if err := s.AddAccount(t.Context(), person(h, "", false), Credential{}, nil, exeunt.System()); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for f := (exeunt.AccountFilter{Limit: 2}); ; {
		page, err := s.Accounts(t.Context(), f)
		if err != nil || len(page.Items) > 2 {
			t.Fatalf("a page of %d, %v", len(page.Items), err)
		}
		for _, a := range page.Items {
			got = append(got, a.Handle)
		}
		if f.After = page.Next; f.After == "" {
			break
		}
	}
	if len(got) != 3 || got[0] != "ada" || got[1] != "bob" || got[2] != "carol" {
		t.Errorf("listed %v", got)
	}
	if any, err := s.AnyAccount(t.Context()); !any || err != nil {
		t.Errorf("three accounts, and none: %v, %v", any, err)
	}
}

// A hash made anew must not bring back a password that was changed meanwhile.
func TestRehashYieldsToAPasswordChange(t *testing.T) { onEachEngine(t, rehashYieldsToAPasswordChange) }

func rehashYieldsToAPasswordChange(t *testing.T, s *testStore) {
	a := s.account()
	keep := s.session(a.ID)
	rev := endOthers(keep)
	if _, err := s.End(t.Context(), exeunt.System(), rev, Change{PasswordHash: "new password", Credential: 1},
		epoch); err != nil {
		t.Fatal(err)
	}
	if err := s.Rehash(t.Context(), a.ID, 1, "old password, hashed anew"); err != nil {
		t.Fatal(err)
	}
	if _, c, err := s.Credential(t.Context(), a.ID); err != nil || c.PasswordHash != "new password" {
		t.Errorf("the password is now %q, %v", c.PasswordHash, err)
	}
	if err := s.Rehash(t.Context(), a.ID, 2, "new password, hashed anew"); err != nil {
		t.Fatal(err)
	}
	if _, c, _ := s.Credential(t.Context(), a.ID); c.PasswordHash != "new password, hashed anew" {
		t.Errorf("the password is now %q", c.PasswordHash)
	}
}

// An account may have no password; a link gives it one, and then it has been set.
func TestAnAccountWithoutAPassword(t *testing.T) { onEachEngine(t, anAccountWithoutAPassword) }

func anAccountWithoutAPassword(t *testing.T, s *testStore) {
	a := person("grace", "", false)
	if err := s.AddAccount(t.Context(), a, Credential{}, nil, exeunt.System()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		byHandle, c1, err1 := s.Identify(t.Context(), "grace")
		byID, c2, err2 := s.Credential(t.Context(), a.ID)
		if err := errors.Join(err1, err2); err != nil || c1.PasswordHash != "" || c2.PasswordHash != "" ||
			!byHandle.PasswordSet.IsZero() || !byID.PasswordSet.IsZero() {
			t.Errorf("%+v, %+v, %v", byHandle, byID, err)
		}
		// Ending its sessions, or starting one in another way, gives it none.
		s.session(a.ID)
		s.end(endAll(a.ID))
	}
	link, now := exeunt.NewToken(exeunt.UseInvite).Hash(), epoch.Add(time.Hour)
	if err := s.AddReset(t.Context(), link, Invite{Handle: "grace", Account: a.ID, Expires: now.Add(time.Hour)},
		exeunt.System(), now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.End(t.Context(), exeunt.System(), endAll(a.ID),
		Change{PasswordHash: "a hash", Credential: 1, Link: &link}, now); err != nil {
		t.Fatal(err)
	}
	if got, c, err := s.Credential(t.Context(), a.ID); err != nil || c.PasswordHash != "a hash" ||
		!got.PasswordSet.Equal(now) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A sign-in says the language of mails, until the owner of the account chooses one.
func TestTheLanguageOfAnAccount(t *testing.T) { onEachEngine(t, theLanguageOfAnAccount) }

func theLanguageOfAnAccount(t *testing.T, s *testStore) {
	id := s.account().ID
	is := func(language string, chosen bool) {
		t.Helper()
		if a, err := s.Account(t.Context(), id); err != nil || a.Language != language || a.LanguageChosen != chosen {
			t.Errorf("the language is %q, chosen: %v, %v; want %q, %v", a.Language, a.LanguageChosen, err, language, chosen)
		}
	}
	signIn := func(language string) exeunt.Session {
		t.Helper()
		n := newSession(s.proof(id), epoch)
		n.Language = language
		if _, err := s.StartSession(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		return n.Session
	}
	is("", false)
	v := signIn("de")
	is("de", false)
	signIn("") // an app, which has no pages
	is("de", false)
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: id, Session: v.ID}
	wantErr(t, s.ChooseLanguage(t.Context(), by, "ja", true), nil)
	is("ja", true)
	signIn("de")
	is("ja", true)
	wantErr(t, s.ChooseLanguage(t.Context(), by, "en", false), nil)
	is("en", false)
	s.end(endOne(v))
	wantErr(t, s.ChooseLanguage(t.Context(), by, "de", true), exeunt.ErrSignedOut)
	is("en", false)
}

// A session remembers how and when its person proved who they are.
func TestSessionsKeepTheirProof(t *testing.T) { onEachEngine(t, sessionsKeepTheirProof) }

func sessionsKeepTheirProof(t *testing.T, s *testStore) {
	p := s.proof(s.account().ID)
	p.Methods, p.At = exeunt.Methods{exeunt.MethodPassword, "another"}, epoch.Add(-time.Minute)
	n := newSession(p, epoch)
	if _, err := s.StartSession(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	got, err := s.Session(t.Context(), p.Account, n.Session.ID)
	if err != nil || !slices.Equal(got.Methods, p.Methods) || !got.Proved.Equal(p.At) {
		t.Errorf("%v at %v, %v", got.Methods, got.Proved, err)
	}
	if page, err := s.Audit(t.Context(), exeunt.AuditFilter{Account: p.Account, Limit: 1}); err != nil ||
		page.Items[0].Detail != "kept password another" {
		t.Errorf("%+v, %v", page, err)
	}
}
