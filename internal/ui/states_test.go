package ui

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
)

var testNow = time.Date(2026, 11, 22, 14, 32, 7, 0, time.UTC)

// idFor gives each test session an ID that is the same in every run, for the
// golden files.
func idFor(n byte) (id exeunt.SessionID) {
	b := []byte("ses_aaaaaaaaaaaaaaaaaaaaaaaaaa")
	b[5] = 'b' + n
	if err := id.UnmarshalText(b); err != nil {
		panic(err)
	}
	return id
}

func session(n byte, kind exeunt.SessionKind, label string, started, seen time.Duration) exeunt.Session {
	limits := exeunt.DefaultPolicy().For(kind)
	s := exeunt.Session{
		ID: idFor(n), Kind: kind, Label: label, UserAgent: "Mozilla/5.0 <i>", Methods: exeunt.Methods{exeunt.MethodPassword},
		Address: netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", n+7)),
		Started: testNow.Add(-started), Seen: testNow.Add(-seen),
		Idle: limits.Idle, ExpiresAt: testNow.Add(-started).Add(limits.Absolute),
	}
	s.LastAddress = s.Address
	if n%3 == 0 {
		s.LastAddress = netip.MustParseAddr("198.51.100.9")
	}
	if n%2 == 0 {
		s.Apps = []exeunt.AppSession{{Client: "chirp"}, {Client: "photos"}, {Client: "notes", End: &exeunt.Ended{}}}
	}
	return s
}

func ended(s exeunt.Session, before time.Duration, reason exeunt.Reason, by exeunt.ActorKind, from byte,
	label string) exeunt.Session {
	s.End = &exeunt.Ended{At: testNow.Add(-before), Reason: reason, By: by, ByLabel: label}
	if label != "" {
		s.End.BySession = idFor(from)
	}
	return s
}

var testClients = Clients{
	"chirp":  {ID: "chirp", Name: "Chirp", HomeURL: "http://chirp.example/"},
	"photos": {ID: "photos", Name: "Photos & more", HomeURL: "http://photos.example/"},
}

func in(current Nav) Frame {
	return Frame{
		Now: testNow, Account: &AccountChip{Name: "Ada Quill", Handle: "ada"}, Session: idFor(0),
		WarnIn: 13 * time.Minute, IdleIn: 15 * time.Minute, Current: current, Path: "/here?x=1&y=2",
		RequestID: "req-7f3k92", Ticket: idFor(0).String() + ".TICKET",
	}
}

// pictured is the frame of somebody who has a picture.
func pictured() Frame {
	f := in(NavSettings)
	f.Account.Picture = "/account/acc_a/picture?v=2&w=3"
	return f
}

// secured is an account that is being secured: with something in each step, or with nothing and all done.
func secured(by exeunt.ActorKind, sessions int, done bool) *SecureView {
	v := &SecureView{Frame: in(NavSecurity), Started: testNow.Add(-time.Hour), By: by, Ended: sessions, NewPassword: done,
		Changes: &ActivityView{Clients: testClients}}
	if !done {
		v.Email, v.Apps, v.More = "ada@example.com", appsUsed(), true
		if by != exeunt.ActorOperator {
			v.Factors = []exeunt.Factor{testFactor(exeunt.FactorTOTP)}
		}
		v.Changes.Entries, v.Return = activityEntries()[:4], "/sessions"
	}
	for _, name := range SecureSteps {
		v.Steps = append(v.Steps, SecureStep{name, done || name == SecureEnd})
	}
	return v
}

// reminded is the frame of a page that reminds of a review.
func reminded(last time.Time) Frame {
	f := in(NavHome)
	f.ReviewDue, f.Reviewed, f.Securing = true, last, last.IsZero()
	return f
}

// onShared is the frame of a page on a shared computer.
func onShared(current Nav) Frame {
	f := in(current)
	f.OnShared = true
	return f
}

func onKiosk(f Frame) Frame {
	f.Kiosk = true
	return f
}

// lastMinute is the frame of a page whose session is about to end.
func lastMinute() Frame {
	f := onKiosk(onShared(NavActivity))
	f.WarnIn, f.IdleIn = 0, 50*time.Second
	return f
}

func out() Frame { return Frame{Now: testNow, RequestID: "req-7f3k92"} }

var testLanguages = []Language{{"en", "English", "ltr"}, {"ar", "العربية", "rtl"}}

func this() exeunt.Session {
	return session(0, exeunt.KindKept, "Firefox on Linux", 13*day, 0)
}

func others() []exeunt.Session {
	return []exeunt.Session{
		session(1, exeunt.KindKept, "Chrome on Windows", 10*time.Hour, 3*time.Hour),
		session(2, exeunt.KindApp, "Pixel 8", 400*day, 2*time.Minute),
		session(3, exeunt.KindApp, "Notes on the studio laptop", 5*30*day, 3*day),
		session(4, exeunt.KindKept, "Safari on iPhone", 40*day, 20*day),
	}
}

// crowd is a part of many other sessions.
func crowd(n int) (list []exeunt.Session) {
	for i := range n {
		label := []string{"Chrome on Windows", "Pixel 8", "Firefox on Linux"}[i%3]
		v := session(byte(1+i%24), exeunt.KindKept, label, time.Duration(i)*time.Hour, time.Minute)
		if err := v.ID.UnmarshalText(fmt.Appendf(nil, "ses_%c%caaaaaaaaaaaaaaaaaaaaaaaa", 'b'+i/24, 'b'+i%24)); err != nil {
			panic(err)
		}
		list = append(list, v)
	}
	return list
}

// manyApps is a session with too many app sessions to look at all.
func manyApps() exeunt.Session {
	s := this()
	s.Apps, s.AppCount = nil, 5300
	for i := range 20 {
		s.Apps = append(s.Apps, exeunt.AppSession{Client: exeunt.ClientID(fmt.Sprintf("app-%02d", i/2))})
	}
	return s
}

func just() []exeunt.Session {
	return []exeunt.Session{ended(session(5, exeunt.KindShared, "Library PC", 2*time.Hour, time.Hour), 20*time.Second,
		exeunt.ReasonSignedOut, exeunt.ActorPerson, 0, "Firefox on Linux"),
		ended(session(6, exeunt.KindApp, "Old tablet", 2*time.Hour, time.Hour), 30*time.Second,
			exeunt.ReasonAdministrator, exeunt.ActorOperator, 0, "")}
}

func endedSessions() []exeunt.Session {
	day := 24 * time.Hour
	s := func(n byte) exeunt.Session {
		return session(n, exeunt.KindKept, []string{"Chrome on Windows", "Safari on iPhone", "Edge on Windows"}[n%3],
			90*day, 50*day)
	}
	person, system, operator := exeunt.ActorPerson, exeunt.ActorSystem, exeunt.ActorOperator
	library := session(12, exeunt.KindShared, "Firefox on Windows", 12*day, 12*day)
	library.Idle = 30 * time.Minute
	return []exeunt.Session{
		ended(s(10), time.Hour, exeunt.ReasonSignedOut, person, 0, "Firefox on Linux"),
		ended(s(11), 2*time.Hour, exeunt.ReasonSignedOut, person, 11, "Safari on iPhone"),
		ended(library, 12*day, exeunt.ReasonIdle, system, 0, ""),
		ended(s(13), 13*day, exeunt.ReasonAbsolute, system, 0, ""),
		ended(s(14), 14*day, exeunt.ReasonReplaced, person, 0, ""),
		ended(s(9), 14*day, exeunt.ReasonClosed, system, 0, ""),
		ended(s(22), 14*day, exeunt.ReasonTooMany, system, 0, "Firefox on Linux"),
		ended(s(15), 15*day, exeunt.ReasonIncomplete, system, 0, ""),
		ended(s(16), 16*day, exeunt.ReasonPasswordChange, person, 0, "Firefox on Linux"),
		ended(s(17), 17*day, exeunt.ReasonAdministrator, operator, 0, "ops"),
		ended(s(18), 18*day, exeunt.ReasonDisabled, operator, 0, "ops"),
		ended(s(19), 19*day, exeunt.ReasonSignedOut, person, 0, ""),
		ended(s(20), 400*day, "from_the_future", system, 0, ""),
		ended(s(21), 21*day, exeunt.ReasonSignedOut, operator, 0, "ops"),
		ended(s(23), 22*day, exeunt.ReasonFactorChange, person, 0, "Firefox on Linux"),
		ended(s(24), 22*day, exeunt.ReasonNotMe, exeunt.ActorLink, 0, ""),
		ended(s(9), 23*day, exeunt.ReasonAddressUndone, exeunt.ActorLink, 0, ""),
	}
}

// notice is about the session of that number.
func notice(n byte) exeunt.Notice {
	v := exeunt.Notice{Session: idFor(n), At: testNow.Add(-time.Duration(n+1) * time.Hour), Label: `Chrome on <Windows>`,
		Address: netip.MustParseAddr("2001:db8::7"), State: exeunt.NoticeOpen}
	if n%2 == 1 {
		v.Place, v.Label = "Lisbon, Portugal", "Safari on iPhone"
	}
	if err := v.ID.UnmarshalText(fmt.Appendf(nil, "not_%caaaaaaaaaaaaaaaaaaaaaaaaa", 'b'+n)); err != nil {
		panic(err)
	}
	return v
}

func answered(as exeunt.NoticeState) exeunt.Notice {
	n := notice(1)
	n.State, n.Answered = as, testNow.Add(-3*time.Minute)
	return n
}

func notMe(as exeunt.NoticeState) *NotMeView {
	return &NotMeView{Frame: out(), Handle: "ada", Notice: answered(as)}
}

func asks(nav Nav, n byte) *HomeView {
	v := &HomeView{Frame: placed(in(nav)), This: this(), Others: others(), Clients: testClients}
	for i := range n {
		v.Notices = append(v.Notices, notice(i+1))
	}
	return v
}

func placed(f Frame) Frame {
	f.Place = func(a netip.Addr) string {
		if a.Is4() && a.As4()[0] == 203 {
			return "Lisbon, Portugal"
		}
		return ""
	}
	return f
}

// pathed is the frame of a page with that address, for nobody.
func pathed(path string) Frame {
	f := out()
	f.Path = path
	return f
}

// tierClients are an app of each tier.
func tierClients() Clients {
	list := []exeunt.Client{
		{ID: "checked", Name: "Chirp", Checked: true}, {ID: "told", Name: "Photos & more", BackchannelURI: "https://photos.example/out"},
		{ID: "expires", Name: "Grafana"}, {ID: "account", Name: "Nextcloud", BackchannelURI: "https://cloud.example/out",
			BackchannelAccount: true, HomeURL: "https://cloud.example/"},
		{ID: "whole", Name: "Forum", Connector: &exeunt.Connector{OnSession: true}},
		{ID: "untold", Name: "Home Assistant", HomeURL: "https://home.example/", SignOutURL: "https://home.example/out?x=1&y=2"},
	}
	for id, upstream := range map[exeunt.ClientID]string{"wiki": "http://10.0.0.7:3000", "files": ""} {
		list = append(list, exeunt.Client{ID: id, Name: strings.ToUpper(string(id[:1])) + string(id[1:]), Checked: true,
			HomeURL: "https://" + string(id) + ".example/", Auth: exeunt.ClientSite,
			Site: &exeunt.Site{Host: string(id) + ".example", Upstream: upstream}})
	}
	out := Clients{}
	for _, c := range list {
		out[c.ID] = c
	}
	return out
}

func withApps(ids ...exeunt.ClientID) exeunt.Session {
	s := this()
	s.Apps = nil
	for _, id := range ids {
		app := exeunt.AppSession{Client: id}
		if id == "expires" {
			app.TokenExpires = testNow.Add(3*time.Minute + time.Second)
		}
		s.Apps = append(s.Apps, app)
	}
	s.AppCount = int64(len(s.Apps))
	return s
}

func inEveryTier() exeunt.Session {
	return withApps("checked", "told", "expires", "account", "untold", "gone")
}

// sites are apps that are sites: through our own proxy, and behind another one.
func sites() exeunt.Session { return withApps("wiki", "files") }

func sitesReached() []AppReach {
	list, _ := ReachOf([]exeunt.Session{sites()}, tierClients(), testNow, false)
	return list
}

// sitesUsed are the sites as somebody uses them.
func sitesUsed() (list []AppUsed) {
	for _, a := range sitesReached() {
		list = append(list, AppUsed{AppReach: a, Since: testNow.Add(-day), Used: testNow.Add(-time.Minute),
			Places: []string{"Firefox on Linux"}, Scopes: "openid profile email groups"})
	}
	return list
}

// sitesAfter are the sites after a sign-out.
func sitesAfter() (list []AppAfter) {
	for _, a := range sitesReached() {
		list = append(list, AppAfter{AppReach: a})
	}
	return list
}

// appsAfter are apps in every state that they can be in after a sign-out.
func appsAfter() (list []AppAfter) {
	reached, _ := ReachOf([]exeunt.Session{inEveryTier()}, tierClients(), testNow, false)
	for _, a := range reached {
		list = append(list, AppAfter{AppReach: a})
	}
	past := AppAfter{AppReach: AppReach{Client: tierClients()["expires"], Reach: exeunt.Reach{Tier: exeunt.TierExpires, By: testNow}}}
	list = append(list, past)
	told := AppReach{Client: tierClients()["told"], Reach: exeunt.Reach{Tier: exeunt.TierTold}}
	told.Client.HomeURL = "https://photos.example/"
	for _, d := range []exeunt.Delivery{
		{State: exeunt.DeliveryPending, Attempts: 1}, {State: exeunt.DeliveryPending, Attempts: 1, Error: "timeout", Due: testNow.Add(time.Minute)},
		{State: exeunt.DeliveryPending, Attempts: 1200, Error: "timeout", Due: testNow.Add(time.Hour)},
		{State: exeunt.DeliveryConfirmed, Attempts: 1, Finished: testNow}, {State: exeunt.DeliveryRefused, Error: "status_400", Finished: testNow},
		{State: exeunt.DeliveryGaveUp, Error: "unreachable", Finished: testNow},
	} {
		list = append(list, AppAfter{AppReach: told, Delivery: &d})
	}
	return list
}

func appsUsed() (list []AppUsed) {
	reached, _ := ReachOf([]exeunt.Session{inEveryTier()}, tierClients(), testNow, false)
	for i, a := range reached {
		u := AppUsed{AppReach: a, Since: testNow.Add(-time.Duration(2*i*i*i) * time.Hour), Used: testNow.Add(-time.Minute),
			Places: []string{"Firefox on Linux", `<b>"Pixel" 8`}, More: i % 3, Scopes: "openid profile email groups offline_access"}
		if i%2 == 0 {
			u.Allowed = testNow.Add(-90 * day)
		}
		list = append(list, u)
	}
	list[1].Since, list[1].Used, list[1].Places, list[1].More, list[1].Allowed = time.Time{}, time.Time{}, nil, 0, testNow.Add(-day)
	list[2].Scopes = "openid"
	return list
}

// states are every page in every state that its view can take.
func states() map[string]View {
	policy := exeunt.DefaultPolicy()
	shared := session(0, exeunt.KindShared, "Firefox on Linux", 20*time.Minute, 0)
	fresh := this()
	fresh.Started, fresh.Apps = testNow.Add(-90*time.Second), nil
	chirp := testClients["chirp"]
	dark := in(NavSettings)
	dark.Display = exeunt.DisplayDark
	short := exeunt.Policy{Groups: []exeunt.GroupPolicy{{Name: "staff", Idle: time.Minute}},
		Kept:   exeunt.Limits{Idle: time.Second, Absolute: 90 * time.Minute},
		Shared: exeunt.Limits{Idle: 25 * time.Hour, Absolute: 26 * time.Hour}}
	problems := []error{
		exeunt.ErrNotFound, exeunt.ErrForbidden, exeunt.ErrForged, exeunt.ErrBadRequest, exeunt.ErrSignedOut, exeunt.ErrRenewed,
		exeunt.ErrWrongCredentials,
		exeunt.ErrSignInAgain, exeunt.ErrHeaders, exeunt.ErrLateBody, exeunt.ErrNotConfirmed, exeunt.ErrUnavailable, exeunt.ErrHandleTaken,
		exeunt.ErrEmailTaken, exeunt.ErrOtherEmail,
		exeunt.ErrSignUpClosed, exeunt.ErrInviteSpent, exeunt.ErrLinkSpent, exeunt.ErrRequestExpired, exeunt.ErrNotAdmitted, exeunt.ErrFactorNeeded, exeunt.ErrCodeSpent, exeunt.ErrKeyReused,
		exeunt.ErrOtherAccount, exeunt.ErrDisabled, exeunt.ErrDeleting, &exeunt.ThrottledError{RetryAfter: 95 * time.Second},
		exeunt.ErrBusy, exeunt.ErrChallengeOver,
	}
	for _, limit := range []exeunt.Limit{exeunt.LimitEndings, exeunt.LimitSingleEndings, exeunt.LimitSignIns,
		exeunt.LimitProfileChanges, exeunt.LimitAppSignIns, exeunt.LimitStreams, exeunt.LimitDownloads,
		exeunt.LimitResets, exeunt.LimitMails, exeunt.LimitAddresses, exeunt.LimitReceipts,
		exeunt.LimitTickets} {
		problems = append(problems, &exeunt.ThrottledError{RetryAfter: time.Second, Limit: limit})
	}
	fields := map[string]string{
		"handle": "taken shape reserved", "name": "too_long shape invisible", "email": "shape", "identifier": "needed", "current": "wrong needed",
		"code":     "wrong_code clock key_lost code_used needed",
		"passkey":  "unknown_passkey refused_passkey others_passkey cloned_passkey setup_over",
		"password": "same too_short too_long common weak_personal weak_common weak_keyboard weak_repeat weak_sequence weak_date weak_short",
	}

	all := map[string]View{
		"sessions-unknown": &SessionsView{Frame: in(NavSessions), This: this(), Others: []exeunt.Session{
			session(3, exeunt.KindKept, "A browser", day, day)}, Clients: testClients},
		"home":             &HomeView{Frame: in(NavHome), This: this(), Others: others(), Clients: testClients},
		"home-asks":        asks(NavHome, 1),
		"home-asks-many":   asks(NavHome, 5),
		"home-asked-about": &HomeView{Frame: in(NavHome), Asking: Asking{Notices: []exeunt.Notice{notice(0)}}, This: this(), Clients: testClients},
		"home-answered":    &HomeView{Frame: in(NavHome), Asking: Asking{Answered: true}, This: this(), Others: others(), Clients: testClients},
		"sessions-asks":    &SessionsView{Frame: placed(in(NavSessions)), Asking: Asking{Notices: []exeunt.Notice{notice(1), notice(2)}}, This: this(), Others: others(), Clients: testClients},
		"not-me":           notMe(exeunt.NoticeOpen),
		"not-me-confirmed": notMe(exeunt.NoticeMe),
		"not-me-spent":     &NotMeView{Frame: out(), Handle: "ada", Notice: answered(exeunt.NoticeMe), Spent: true},
		"not-me-gone":      &NotMeView{Frame: out(), Handle: "ada", Notice: exeunt.Notice{State: exeunt.NoticeOpen}},
		"not-me-done":      &NotMeView{Frame: out(), Handle: "ada", Notice: answered(exeunt.NoticeNotMe), Spent: true, Reset: true},
		"not-me-done-late": &NotMeView{Frame: out(), Handle: "ada", Notice: answered(exeunt.NoticeNotMe), Spent: true},
		"locked":           &LockedView{Frame: out()},
		"error-again": &ErrorView{Frame: in(""), Status: 503, Err: exeunt.ErrNotConfirmed, Retry: "/signout",
			Again: &SendAgain{Action: "/signout", Fields: url.Values{"key": {"K1"}, "session": {"ses_x"}, "again": {"1"}}, After: 3}},
		"not-me-over":       &ErrorView{Frame: out(), Status: 410, Err: exeunt.ErrNotMeLink},
		"home-offer":        &HomeView{Frame: in(NavHome), This: fresh, OfferPasskey: true},
		"home-one":          &HomeView{Frame: in(NavHome), This: fresh, Others: others()[:1], Clients: testClients},
		"home-alone-shared": &HomeView{Frame: in(NavHome), This: shared, Clients: testClients},
		"sessions": &SessionsView{Frame: in(NavSessions), This: this(), Others: others(), Just: just(),
			EndedCount: 12, Clients: testClients},
		"reset": &ResetView{Frame: out(), Handle: "ada"},
		"reset-weak": &ResetView{Frame: out(), Handle: "ada",
			Err: &exeunt.FieldError{Field: "password", Code: "too_short", Err: exeunt.ErrBadRequest}},
		"forgot":          &ForgotView{Frame: out(), Life: 30 * time.Minute},
		"forgot-again":    &ForgotView{Frame: out(), Identifier: `"><b>`, Err: &exeunt.ThrottledError{RetryAfter: time.Minute, Limit: exeunt.LimitResets}},
		"forgot-sent":     &ForgotView{Frame: out(), Sent: true, Life: 30 * time.Minute},
		"confirm-address": &AddressView{Frame: out(), Handle: "ada", Address: "ada@example.com"},
		"confirm-address-new": &AddressView{Frame: out(), Handle: "ada", Address: "new@example.com", Replaces: "ada@example.com",
			Err: exeunt.ErrEmailTaken},
		"confirm-address-done": &AddressView{Frame: out(), Handle: "ada", Address: "ada@example.com", Done: true},
		"undo":                 &UndoView{Frame: out(), Handle: "ada", Address: "ada@example.com", Replaced: "mallory@example.com"},
		"undo-removed":         &UndoView{Frame: out(), Handle: "ada", Address: "ada@example.com", Err: exeunt.ErrEmailTaken},
		"undo-done":            &UndoView{Frame: out(), Handle: "ada", Address: "ada@example.com", Done: true},
		"undo-failed":          &UndoView{Frame: out(), Handle: "ada", Address: "ada@example.com", Done: true, Err: exeunt.ErrEmailTaken},
		"sign-in-mails":        &SignInView{Frame: out(), Policy: policy, Mails: true},
		"help-mails":           &HelpView{Frame: out(), Policy: policy, Mails: true},
		"link-reset":           &ErrorView{Frame: out(), Status: 410, Err: exeunt.ErrInviteSpent, Way: "reset"},
		"link-confirm":         &ErrorView{Frame: out(), Status: 410, Err: exeunt.ErrLinkSpent, Way: "confirm"},
		"link-undo":            &ErrorView{Frame: out(), Status: 410, Err: exeunt.ErrLinkSpent, Way: "undo"},
		"settings-unconfirmed": &SettingsView{Frame: in(NavSettings), Name: "Ada Quill", Email: "ada@example.com", Policy: policy,
			This: this(), Mails: true, Unconfirmed: "ada@example.com", Sent: true},
		"settings-pending": &SettingsView{Frame: in(NavSettings), Name: "Ada Quill", Email: "ada@example.com", EmailConfirmed: true,
			ConfirmedAt: testNow.Add(-3 * day), Policy: policy, This: this(), Mails: true, Unconfirmed: "new@example.com",
			Pending: "new@example.com", Saved: true},
		"settings-dropped": &SettingsView{Frame: in(NavSettings), Name: "Ada Quill", Email: "ada@example.com", EmailConfirmed: true,
			Policy: policy, This: this(), Mails: true, Dropped: true},
		"app": &AppView{Frame: in(NavSecurity), Setup: "sealed", QR: "<svg></svg>", Secret: "ABCD EFGH", Others: 2,
			Proof: Proof{Handle: "ada", Needed: true, Code: true, App: true}},
		"passkey": &PasskeyView{Frame: in(NavSecurity), Setup: "sealed", Ask: `{"rp":{}}`, Label: "Firefox on Linux", Others: 2,
			Proof: Proof{Handle: "ada", Needed: true, Code: true, App: true, Passkey: true}},
		"passkey-alone": &PasskeyView{Frame: in(NavSecurity), Setup: "sealed", Ask: `{"rp":{}}`, Made: "{}", Name: "Key",
			Proof: Proof{Handle: "ada", Needed: true, NoPassword: true, Passkey: true}, Err: exeunt.ErrPasskeyTaken},
		"passkey-many": &PasskeyView{Frame: in(NavSecurity), Setup: "sealed", Ask: `{"rp":{}}`, Err: exeunt.ErrManyFactors},
		"sessions-methods": &SessionsView{Frame: in(NavSessions), This: by(this(), exeunt.MethodPasskey),
			Others: []exeunt.Session{by(others()[0], exeunt.MethodPassword, exeunt.MethodTOTP, exeunt.MethodRecovery)}, Clients: testClients},
		"factor-name": &FactorNameView{Frame: in(NavSecurity), Factor: testFactor(exeunt.FactorPasskey), Name: "Key"},
		"sign-in-passkey": &SignInView{Frame: out(), Policy: policy, Passkeys: true, Unknown: `{"unknown":{}}`,
			Err: &exeunt.FieldError{Field: "passkey", Code: "unknown_passkey", Err: exeunt.ErrBadRequest}},
		"sign-in-step-passkey": &SignInStepView{Frame: out(), Handle: "ada", Challenge: "0123456789abcdef", Ask: `{"rpId":""}`,
			Methods: exeunt.Methods{exeunt.MethodPasskey, exeunt.MethodTOTP, exeunt.MethodRecovery}},
		"security-passkey": &SecurityView{Frame: in(NavSecurity), Passkeys: true, Signals: `{"accepted":{}}`, Factor: "passkey",
			Factors: []exeunt.Factor{testFactor(exeunt.FactorPasskey)},
			Proof:   Proof{Handle: "ada", Needed: true, NoPassword: true, Passkey: true}},
		"security-renamed": &SecurityView{Frame: in(NavSecurity), PasswordSet: testNow.Add(-day), Factor: "renamed",
			Factors: []exeunt.Factor{testFactor(exeunt.FactorPasskey)}},
		"app-refused": &AppView{Frame: in(NavSecurity), Setup: "sealed", QR: "<svg></svg>", Secret: "ABCD EFGH", Others: 1, Keep: true,
			Name: "Phone", Err: &exeunt.FieldError{Field: "app_code", Code: "wrong_code", Err: exeunt.ErrBadRequest}},
		"app-clock":    &AppView{Frame: in(NavSecurity), Err: &exeunt.FieldError{Field: "app_code", Code: "clock", Err: exeunt.ErrBadRequest}},
		"app-late":     &AppView{Frame: in(NavSecurity), Err: &exeunt.FieldError{Field: "app_code", Code: "setup_over", Err: exeunt.ErrBadRequest}},
		"codes":        &CodesView{Frame: in(NavSecurity), Codes: []string{"0-abcd-efgh-jkmn", "1-abcd-efgh-jkmn"}, Setup: "sealed"},
		"codes-shared": &CodesView{Frame: onShared(NavSecurity), Codes: []string{"0-abcd-efgh-jkmn"}, Setup: "sealed"},
		"codes-new":    &CodesView{Frame: in(NavSecurity), Setup: "sealed", Has: exeunt.RecoveryCodes{Left: 7, Total: 10}},
		"codes-late": &CodesView{Frame: in(NavSecurity), Setup: "sealed",
			Err: &exeunt.FieldError{Field: "setup", Code: "setup_over", Err: exeunt.ErrBadRequest}},
		"codes-no-factor": &CodesView{Frame: in(NavSecurity), NoFactor: true},
		"codes-first":     &CodesView{Frame: in(NavSecurity), Setup: "sealed"},
		"confirm": &ConfirmView{Frame: in(NavSessions), To: "/sessions/end", Fields: url.Values{"scope": {"others"}, "key": {`"><b>`}},
			Proof: Proof{Handle: "ada", Needed: true, Code: true}},
		"confirm-wrong": &ConfirmView{Frame: in(NavSessions), To: "/sessions/end", Proof: Proof{Handle: "ada", Needed: true},
			Err: exeunt.ErrBusy},
		"factor":            &FactorView{Frame: in(NavSecurity), Factor: testFactor(exeunt.FactorTOTP), Last: true, Others: 1},
		"factor-one-of-two": &FactorView{Frame: in(NavSecurity), Factor: testFactor(exeunt.FactorPasskey)},
		"security-factors": &SecurityView{Frame: in(NavSecurity), PasswordSet: testNow.Add(-day), Others: 2, Factor: "added",
			Factors: []exeunt.Factor{testFactor(exeunt.FactorTOTP), testFactor(exeunt.FactorPasskey)},
			Codes:   exeunt.RecoveryCodes{Left: 7, Total: 10},
			Proof:   Proof{Handle: "ada", At: testNow.Add(-time.Minute), Until: testNow.Add(9 * time.Minute)}},
		"security-no-factor-left": &SecurityView{Frame: in(NavSecurity), PasswordSet: testNow.Add(-day), Factor: "removed"},
		"security-new-codes": &SecurityView{Frame: in(NavSecurity), PasswordSet: testNow.Add(-day), Factor: "codes",
			Factors: []exeunt.Factor{testFactor(exeunt.FactorPasskey)}, Proof: Proof{Handle: "ada", Needed: true, Code: true}},
		"sign-in-step": &SignInStepView{Frame: out(), Handle: "ada", Challenge: "0123456789abcdef", Return: "/sessions",
			Methods: exeunt.Methods{exeunt.MethodTOTP, exeunt.MethodRecovery}, Client: &chirp},
		"sign-in-step-recovery": &SignInStepView{Frame: in(""), Handle: "grace", Challenge: "0123456789abcdef",
			Methods: exeunt.Methods{exeunt.MethodPasskey, exeunt.MethodRecovery},
			Err:     &exeunt.FieldError{Field: "code", Code: "wrong_code", Err: exeunt.ErrBadRequest}},
		"recovered": &RecoveredView{Frame: in(NavSecurity), Codes: exeunt.RecoveryCodes{Left: 9, Total: 10}, Others: 2, Return: "/"},
		"required":  &RequiredView{Frame: in(""), Needs: exeunt.AnyFactor, Return: "/", Passkeys: true},
		"required-app": &RequiredView{Frame: in(""), Client: &exeunt.Client{ID: "photos", Name: "Photos & more"}, Needs: exeunt.AnyFactor,
			Factors: []exeunt.Factor{{Kind: exeunt.FactorTOTP, Name: "Phone"}}, Return: "/authorize?request=x"},
		"required-passkey": &RequiredView{Frame: in(""), Needs: exeunt.OnlyPasskey,
			Factors: []exeunt.Factor{{Kind: exeunt.FactorTOTP, Name: "Phone"}}, Return: "/sessions"},
		"site-not-sent":       siteView(SiteNotSent),
		"site-not-admitted":   siteView(SiteNotAdmitted),
		"site-cookies":        siteView(SiteCookies),
		"site-loop":           siteView(SiteLoop),
		"site-stale":          siteView(SiteStale),
		"site-declined":       siteView(SiteDeclined),
		"site-unavailable":    siteView(SiteUnavailable),
		"site-signed-out":     siteView(SiteSignedOut),
		"site-no-such":        &SiteView{Frame: in(""), Why: SiteNoSuch},
		"recovered-none":      &RecoveredView{Frame: in(NavSecurity), Return: "/sessions"},
		"sign-in-after-reset": &SignInView{Frame: out(), Policy: policy, Reset: true},
		"home-many": &HomeView{Frame: in(NavHome), This: this(),
			Others: append(others(), session(7, exeunt.KindKept, "Safari on macOS", day,
				day)), Just: just(), Clients: testClients},
		"home-crowd": &HomeView{Frame: in(NavHome), This: this(), Others: crowd(50), Live: 10_010, Clients: testClients},
		"sessions-part": &SessionsView{Frame: in(NavSessions), This: this(), Others: crowd(50), Live: 10_010,
			EndedCount: 1201, Part: Part{List: "/sessions", After: "1.ses_a", Next: "2.ses_b"}, Clients: testClients},
		"sessions-first-part": &SessionsView{Frame: in(NavSessions), This: this(), Others: crowd(1), Just: just(),
			Live: 52, Part: Part{List: "/sessions", Next: "2.ses_b"}, Clients: testClients},
		"sessions-found": &SessionsView{Frame: in(NavSessions), This: this(), Others: crowd(2), Live: 10_010,
			Part: Part{List: "/sessions", Search: `"><b>`, Next: "2.ses_b"}, Clients: testClients},
		"sessions-found-one": &SessionsView{Frame: in(NavSessions), This: this(), Others: crowd(1), Live: 10_010,
			Part: Part{List: "/sessions", Search: "Pixel"}, Clients: testClients},
		"sessions-found-none": &SessionsView{Frame: in(NavSessions), This: this(), Live: 10_010,
			Part: Part{List: "/sessions", Search: "Pixel"}, Clients: testClients},
		"sessions-ended-part": &EndedSessionsView{Frame: in(NavSessions), Ended: endedSessions()[1:], Count: 10_010,
			LiveCount: 5, Part: Part{List: "/sessions/ended", After: "1.2", Next: "3.4"}, Clients: testClients},
		"sessions-ended-found": &EndedSessionsView{Frame: in(NavSessions), Ended: endedSessions()[:1], Count: 10_010,
			LiveCount: 5, Part: Part{List: "/sessions/ended", Search: "Pixel"}, Clients: testClients},
		"sessions-ended-found-none": &EndedSessionsView{Frame: in(NavSessions), Count: 10_010,
			LiveCount: 5, Part: Part{List: "/sessions/ended", Search: "Pixel"}, Clients: testClients},
		"sign-out-crowd": &SignOutView{Frame: in(""), Scope: exeunt.ScopeOthers, This: this(), Others: crowd(9),
			Live: 10_010, Clients: testClients},
		"sign-out-account-crowd": &SignOutView{Frame: in(""), Scope: exeunt.ScopeAccount, This: manyApps(),
			Others: crowd(9), Live: 10_010, Clients: testClients},
		"home-just-alone": &HomeView{Frame: in(NavHome), This: this(), Just: just(), Clients: testClients},
		"sessions-done": &SessionsView{Frame: in(NavSessions), This: this(), Done: &SessionsEnded{Ended: 3},
			EndedCount: 3, Clients: testClients},
		"sessions-done-one": &SessionsView{Frame: in(NavSessions), This: this(), Done: &SessionsEnded{Ended: 1},
			EndedCount: 3, Clients: testClients},
		"sessions-done-none": &SessionsView{Frame: in(NavSessions), This: this(), Done: &SessionsEnded{},
			Clients: testClients},
		"sessions-one": &SessionsView{Frame: onShared(NavSessions), This: shared, Others: others()[1:2],
			EndedCount: 1, Clients: testClients},
		"sessions-alone": &SessionsView{Frame: in(NavSessions), This: fresh, Clients: testClients},
		"sessions-ended": &EndedSessionsView{Frame: in(NavSessions), Ended: endedSessions(), LiveCount: 5,
			KeptFor: 90 * day, Clients: testClients},
		"sessions-ended-none": &EndedSessionsView{Frame: in(NavSessions), LiveCount: 1},
		"sign-in":             &SignInView{Frame: out(), Policy: policy},
		"sign-in-app": &SignInView{Frame: out(), Policy: short, Client: &chirp,
			Return: "/authorize?client=chirp&x=1", SignUpOpen: true},
		"sign-in-kept": &SignInView{Frame: out(), Policy: policy, Kind: exeunt.KindKept, Err: exeunt.ErrCookies},
		"sign-in-no-choice": &SignInView{Frame: out(), Policy: policy, Err: &exeunt.FieldError{Field: "kind",
			Code: "needed", Err: &exeunt.Error{}}},
		"sign-in-kiosk":      &SignInView{Frame: onKiosk(out()), Policy: policy, Kind: exeunt.KindShared},
		"sign-up-kiosk":      &SignUpView{Frame: onKiosk(out()), Policy: policy, Kind: exeunt.KindShared},
		"sign-in-unfamiliar": &SignInView{Frame: out(), Policy: policy, Unfamiliar: true},
		"sign-in-shared":     &SignInView{Frame: out(), Policy: policy, Identifier: "ada", Kind: exeunt.KindShared},
		"sign-in-over":       &SignInView{Frame: in(""), Policy: policy},
		"sign-up":            &SignUpView{Frame: out(), Policy: policy, Return: "/sessions"},
		"sign-up-taken": &SignUpView{Frame: out(), Policy: policy, Handle: "ada", Name: `Ada "Q" <b>`,
			Email: "ada@example.com", Kind: exeunt.KindShared, Err: &exeunt.FieldError{Field: "handle", Code: "taken",
				Err: exeunt.ErrHandleTaken}},
		"sign-up-new-code": &SignUpView{Frame: out(), Policy: policy,
			Err: &exeunt.FieldError{Field: "password", Code: "newer_than_us",
				Err: &exeunt.Error{Code: "newer_than_us", Message: "This <is> new."}}},
		"setup":               &SignUpView{Frame: out(), Policy: policy, Setup: true, Handle: "grace", Fixed: map[string]bool{"handle": true}},
		"sign-out-unlisted":   &SignOutView{Frame: in(""), This: this(), Live: 8},
		"sign-out-unlisted-2": &SignOutView{Frame: in(""), This: this(), Live: 2, Scope: exeunt.ScopeOthers},
		"sign-out": &SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: this(), Others: others(),
			Clients: testClients},
		"sign-out-two": &SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: fresh,
			Others: others()[:2], Clients: testClients},
		"sign-out-one": &SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: fresh,
			Others: others()[:1], Clients: testClients, Client: &chirp, Cancel: "http://chirp.example/"},
		"sign-out-last": &SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: fresh,
			Clients: testClients},
		"sign-out-others": &SignOutView{Frame: in(""), Scope: exeunt.ScopeOthers, This: this(), Others: others(),
			Clients: testClients},
		"sign-out-others-one": &SignOutView{Frame: in(""), Scope: exeunt.ScopeOthers, This: this(),
			Others: others()[:1], Clients: testClients},
		"sign-out-account": &SignOutView{Frame: in(""), Scope: exeunt.ScopeAccount, This: this(), Others: others(),
			Clients: testClients},
		"signed-out": &SignedOutView{Frame: out(),
			Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeSession, Ended: 1, Apps: 2}},
		"signed-out-app": &SignedOutView{Frame: out(), Client: &chirp,
			Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeSession, Ended: 1, Apps: 1}},
		"signed-out-shared": &SignedOutView{Frame: out(),
			Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeSession, Ended: 1, Shared: true}},
		"signed-out-all": &SignedOutView{Frame: out(),
			Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeAccount, Ended: 5}},
		"signed-out-not-me": &SignedOutView{Frame: out(), Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeAccount, Ended: 3, NotMe: true}},
		"signed-out-all-alone": &SignedOutView{Frame: out(),
			Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeAccount, Ended: 1}},
		"signed-out-nobody": &SignedOutView{Frame: out()},
		"signed-out-told": &SignedOutView{Frame: pathed("/signed-out"), Apps: appsAfter(), More: 2,
			Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeAccount, Ended: 3, Apps: 9}},
		"signed-out-no-way": &SignedOutView{Frame: out(), Client: &chirp, NoWay: true},
		"signed-out-proof": &SignedOutView{Frame: pathed("/signed-out"), Proof: "/receipts/h.1.code",
			Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeSession, Ended: 1, Event: 17}},
		"sessions-ended-proof": &EndedSessionsView{Frame: in(NavSessions), Ended: endedSessions()[:2], LiveCount: 5, KeptFor: 90 * day,
			Clients: testClients, Proof: func(*exeunt.Ended) string { return "/receipts/h.1.code" }},
		"receipt":               receiptView(),
		"receipt-plain":         receiptAs(func(v *ReceiptView) { v.SignIns, v.Apps, v.Reason, v.By = 0, nil, exeunt.ReasonIdle, "system" }),
		"receipt-others":        receiptAs(func(v *ReceiptView) { v.Scope, v.Sessions, v.By, v.Some = exeunt.ScopeOthers, 12, "elsewhere", true }),
		"receipt-account":       receiptAs(func(v *ReceiptView) { v.Scope, v.Sessions, v.By, v.Frame = exeunt.ScopeAccount, 1, "link", in("") }),
		"receipt-app":           receiptAs(func(v *ReceiptView) { v.App, v.By = true, "administrator" }),
		"receipt-old":           receiptAs(func(v *ReceiptView) { v.Apps, v.Some = nil, true }),
		"receipt-gone":          &ErrorView{Frame: out(), Status: 410, Err: exeunt.ErrReceiptGone},
		"sign-out-apps":         &SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: inEveryTier(), Clients: tierClients()},
		"sign-out-apps-whole":   &SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: withApps("whole"), Clients: tierClients()},
		"sign-out-apps-account": &SignOutView{Frame: in(""), Scope: exeunt.ScopeAccount, This: inEveryTier(), Clients: tierClients()},
		"end-session": &EndSessionView{SignOutView: SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: inEveryTier(),
			Others: others(), Clients: tierClients(), Client: &chirp, Cancel: "http://chirp.example/"}, Only: true,
			Fields: url.Values{"client_id": {"chirp"}, "post_logout_redirect_uri": {"http://chirp.example/bye"}, "state": {`"><b>`}}},
		"end-session-alone": &EndSessionView{SignOutView: SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: this(),
			Clients: testClients, Client: &chirp}, Only: true, First: true},
		"end-session-one": &EndSessionView{SignOutView: SignOutView{Frame: in(""), Scope: exeunt.ScopeSession,
			This: withApps("photos"), Clients: testClients, Client: &chirp}, NoWay: true, Foreign: true},
		"end-session-bare": &EndSessionView{SignOutView: SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: fresh,
			Live: 3, Clients: testClients}, Foreign: true},
		"end-session-many": &EndSessionView{SignOutView: SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: manyApps(),
			Clients: testClients, Client: &chirp}},
		"apps":           &AppsView{Frame: in(NavApps), Apps: appsUsed(), Email: "ada@example.com", After: "a", Next: "z"},
		"apps-sites":     &AppsView{Frame: in(NavApps), Apps: sitesUsed(), Email: "ada@example.com"},
		"apps-site-done": &AppsView{Frame: in(NavApps), Done: &AppDone{AppReach: sitesReached()[0], Ended: 1}},
		"sign-out-sites": &SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: sites(), Clients: tierClients()},
		"signed-out-sites": &SignedOutView{Frame: pathed("/signed-out"), Apps: sitesAfter(),
			Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeSession, Session: idFor(0), Ended: 1, Apps: 2}},
		"end-session-sites": &EndSessionView{SignOutView: SignOutView{Frame: in(""), Scope: exeunt.ScopeSession, This: sites(),
			Clients: tierClients(), Client: new(tierClients()["wiki"])}, Only: true, Fields: url.Values{"client_id": {"wiki"}}},
		"authorize-relayed": &AuthorizeView{Frame: in(""), Client: tierClients()["wiki"], Scopes: "openid"},
		"authorize-proxied": &AuthorizeView{Frame: in(""), Client: tierClients()["files"], Scopes: "openid"},
		"apps-none":         &AppsView{Frame: in(NavApps)},
		"apps-email":        &AppsView{Frame: in(NavApps), Apps: appsUsed()[:1]},
		"apps-done": &AppsView{Frame: in(NavApps), Done: &AppDone{AppReach: AppReach{Client: tierClients()["untold"],
			Reach: exeunt.Reach{Tier: exeunt.TierUntold}}, Ended: 2}},
		"apps-done-one": &AppsView{Frame: in(NavApps), Done: &AppDone{AppReach: AppReach{Client: tierClients()["expires"],
			Reach: exeunt.Reach{Tier: exeunt.TierExpires, By: testNow.Add(time.Minute)}}, Ended: 1}},
		"apps-done-none": &AppsView{Frame: in(NavApps), Done: &AppDone{AppReach: AppReach{Client: chirp}}},
		"apps-removed": &AppsView{Frame: in(NavApps), Done: &AppDone{AppReach: AppReach{Client: chirp,
			Reach: exeunt.Reach{Tier: exeunt.TierChecked}}, Ended: 2, Removed: true}},
		"apps-removed-one": &AppsView{Frame: in(NavApps), Done: &AppDone{AppReach: AppReach{Client: chirp,
			Reach: exeunt.Reach{Tier: exeunt.TierTold}}, Ended: 1, Removed: true}},
		"apps-removed-none": &AppsView{Frame: in(NavApps), Done: &AppDone{AppReach: AppReach{Client: chirp}, Removed: true}},
		"ended-damaged":     &EndedView{Frame: out(), Damaged: true},
		"ended-nobody":      &EndedView{Frame: out(), Nobody: true, Return: "/sessions"},
		"sign-up-all-wrong": &SignUpView{Frame: out(), Policy: policy, Err: errors.Join(
			&exeunt.FieldError{Field: "handle", Code: "shape", Err: exeunt.ErrBadRequest},
			&exeunt.FieldError{Field: "password", Code: "too_short", Err: exeunt.ErrBadRequest})},
		"ended-renewed": &EndedView{Frame: out(), Ended: &exeunt.Ended{At: testNow.Add(-time.Hour), Reason: exeunt.ReasonRenewed}},
		"ended-deleted": &EndedView{Frame: out(), Ended: &exeunt.Ended{At: testNow.Add(-time.Hour), Reason: exeunt.ReasonDeleted}},
		"sessions-ended-deleted": &EndedSessionsView{Frame: in(NavSessions), LiveCount: 1, Ended: []exeunt.Session{
			ended(others()[0], day, exeunt.ReasonDeleted, exeunt.ActorPerson, 0, "Firefox on Linux")}},
		"ended-client_removed": &EndedView{Frame: out(), Ended: &exeunt.Ended{At: testNow.Add(-time.Hour),
			Reason: exeunt.ReasonClientRemoved}},
		"ended-revoked":    &EndedView{Frame: out(), Ended: &exeunt.Ended{At: testNow.Add(-time.Hour), Reason: exeunt.ReasonRevoked}},
		"ended-unknown":    &EndedView{Frame: out(), Return: "/sessions"},
		"menu":             &MenuView{Frame: in(NavSessions), Return: "/sessions"},
		"menu-plain":       &MenuView{Frame: in(NavSettings)},
		"language":         &LanguageView{Frame: out(), Languages: testLanguages, Return: "/signin?x=1&y=2"},
		"language-account": &LanguageView{Frame: in(""), Languages: testLanguages, Chosen: true, Return: "/settings"},
		"settings": &SettingsView{Frame: dark, Name: "Ada Quill", Email: "ada@example.com", Policy: policy,
			This: this()},
		"settings-kept": &SettingsView{Frame: in(NavSettings), Name: "Ada Quill", Kept: true, Policy: policy, This: this()},
		"delete": &DeleteAccountView{Frame: in(NavSettings), Live: 4, Days: 7, Apps: appsUsed(), More: true, Audit: 365 * day,
			Proof: Proof{Handle: "ada", Needed: true, Code: true}},
		"delete-plain": &DeleteAccountView{Frame: in(NavSettings), Live: 1, Days: 1, Err: exeunt.ErrBusy,
			Proof: Proof{Handle: "ada", Needed: true}},
		"review":            &ReviewView{Frame: in(NavSecurity), Total: 7, CanMail: true},
		"review-one":        &ReviewView{Frame: in(NavSecurity), Total: 1, Last: testNow.Add(-40 * day)},
		"review-none":       &ReviewView{Frame: in(NavSecurity)},
		"review-session":    &ReviewView{Frame: in(NavSecurity), Under: true, At: 2, Total: 7, Item: &others()[2], Clients: testClients},
		"review-app":        &ReviewView{Frame: in(NavSecurity), Under: true, At: 5, Total: 7, App: &appsUsed()[0]},
		"review-app-out":    &ReviewView{Frame: in(NavSecurity), Under: true, At: 6, Total: 7, App: &appsUsed()[1]},
		"review-nothing":    &ReviewView{Frame: in(NavSecurity), Under: true, At: 7, Total: 7},
		"review-done":       &ReviewView{Frame: in(NavSecurity), Done: true, Kept: 5, Ended: 2, Next: testNow.Add(90 * day), CanMail: true, Mail: true},
		"home-remind":       &HomeView{Frame: reminded(time.Time{}), This: fresh, Clients: testClients},
		"security-remind":   &SecurityView{Frame: reminded(testNow.Add(-100 * day)), PasswordSet: testNow.Add(-day)},
		"sessions-reviewed": &SessionsView{Frame: reminded(testNow.Add(-100 * day)), This: fresh, Clients: testClients},
		"sessions-ended-review": &EndedSessionsView{Frame: in(NavSessions), LiveCount: 1, Ended: []exeunt.Session{
			ended(others()[0], day, exeunt.ReasonReview, exeunt.ActorPerson, 0, "Firefox on Linux")}},
		"ended-review":      &EndedView{Frame: out(), Ended: &exeunt.Ended{At: testNow.Add(-time.Hour), Reason: exeunt.ReasonReview}},
		"secure":            &SecureView{Frame: in(NavSecurity), Begin: true, Others: 3},
		"secure-one":        &SecureView{Frame: in(NavSecurity), Begin: true, Others: 1},
		"secure-alone":      &SecureView{Frame: in(NavSecurity), Begin: true},
		"secure-steps":      secured(exeunt.ActorPerson, 3, false),
		"secure-steps-one":  secured(exeunt.ActorPerson, 1, true),
		"secure-steps-none": secured(exeunt.ActorPerson, 0, false),
		"secure-operator":   secured(exeunt.ActorOperator, 3, false),
		"secure-link":       secured(exeunt.ActorLink, 3, true),
		"secure-done":       &SecureView{Frame: in(NavSecurity), Started: testNow.Add(-time.Hour), Finished: testNow},
		"sessions-ended-secured": &EndedSessionsView{Frame: in(NavSessions), LiveCount: 1, Ended: []exeunt.Session{
			ended(others()[0], day, exeunt.ReasonSecured, exeunt.ActorPerson, 0, "Firefox on Linux")}},
		"ended-secured": &EndedView{Frame: out(), Ended: &exeunt.Ended{At: testNow.Add(-time.Hour), Reason: exeunt.ReasonSecured}},
		"deleting":      &DeletingView{Frame: out(), Until: testNow.Add(7 * day)},
		"deleting-keep": &DeletingView{Frame: out(), Until: testNow.Add(7 * day), Handle: "ada", Challenge: "0123456789abcdef"},
		"deleting-over": &DeletingView{Frame: in(""), Until: testNow.Add(7 * day), Handle: "grace", Challenge: "0123456789abcdef"},
		"settings-saved": &SettingsView{Frame: in(NavSettings), Name: "Ada Quill", Email: "ada@example.com",
			EmailConfirmed: true, Saved: true, Policy: policy, This: shared},
		"settings-display-saved": &SettingsView{Frame: in(NavSettings), Name: "Ada Quill", Email: "new@example.com", Typed: true,
			Saved: true, Policy: policy, Retention: Retention{90 * day, 365 * day}, This: this()},
		"settings-needed": &SettingsView{Frame: in(NavSettings), Name: "Ada Quill", Email: "new@example.com",
			Policy: policy, This: this(), Err: &exeunt.FieldError{Field: "current", Code: "needed",
				Err: exeunt.ErrWrongCredentials}},
		"settings-picture": &SettingsView{Frame: pictured(), Name: "Ada Quill", Picture: "changed", Policy: policy, This: this()},
		"settings-picture-removed": &SettingsView{Frame: in(NavSettings), Name: "Ada Quill", Picture: "removed", Policy: policy,
			This: this()},
		"settings-picture-often": &SettingsView{Frame: in(NavSettings), Name: "Ada Quill", Policy: policy, This: this(),
			PictureErr: &exeunt.ThrottledError{RetryAfter: time.Minute, Limit: exeunt.LimitProfileChanges}},
		"settings-wrong": &SettingsView{Frame: in(NavSettings), Err: exeunt.ErrNotConfirmed, Policy: policy,
			This: this()},
		"security":       &SecurityView{Frame: in(NavSecurity), PasswordSet: testNow.Add(-400 * day), Others: 4},
		"security-alone": &SecurityView{Frame: in(NavSecurity), PasswordSet: testNow.Add(-4 * time.Minute)},
		"security-wrong": &SecurityView{Frame: in(NavSecurity), PasswordSet: testNow.Add(-25 * time.Hour),
			Others: 1, Err: &exeunt.FieldError{Field: "current", Code: "wrong", Err: exeunt.ErrWrongCredentials}},
		"security-changed": &SecurityView{Frame: in(NavSecurity), PasswordSet: testNow,
			Changed: &PasswordChanged{Ended: 3}},
		"security-changed-0": &SecurityView{Frame: in(NavSecurity), PasswordSet: testNow, Changed: &PasswordChanged{}},
		"activity": &ActivityView{Frame: in(NavActivity), Part: Part{List: "/activity", Next: "1.2.3"},
			Entries: activityEntries(), KeptFor: 365 * day, MaxDownload: 1000, Clients: testClients},
		"activity-proof": &ActivityView{Frame: in(NavActivity), Part: Part{List: "/activity", Kind: "changes"}, KeptFor: 365 * day,
			MaxDownload: 1000, Proof: Proof{Handle: "ada", Needed: true}, Err: exeunt.ErrBusy},
		"activity-none": &ActivityView{Frame: lastMinute(), Part: Part{List: "/activity", Kind: "changes"},
			KeptFor: 365 * day, MaxDownload: 1000},
		"activity-none-here": &ActivityView{Frame: in(NavActivity), Part: Part{List: "/activity", Kind: "sign_ins",
			After: "1.2.3", Next: "1.2.2"}, KeptFor: 365 * day, MaxDownload: 1000},
		"check":            checkView(CheckNobody, func(v *CheckView) { v.Out = checkOut(""); v.Apps, v.More, v.Some = appsAfter(), 2, true }),
		"check-clean":      checkView(CheckNobody, func(v *CheckView) { v.Out = checkOut("") }),
		"check-wait":       checkView(CheckNobody, func(v *CheckView) { v.Out = checkOut(""); v.Apps = waitingApps() }),
		"check-unknown":    checkView(CheckNobody, nil),
		"check-ended":      checkView(CheckEnded, func(v *CheckView) { v.Ended = &exeunt.Ended{At: testNow.Add(-time.Hour), Reason: exeunt.ReasonIdle} }),
		"check-ended-long": checkView(CheckEnded, func(v *CheckView) { v.Out = checkOut(""); v.Out.Scope = exeunt.ScopeAccount }),
		"check-half":       checkView(CheckHalf, func(v *CheckView) { v.Out = checkOut(""); v.Out.Scope = exeunt.ScopeOthers }),
		"check-readable":   checkView(CheckReadable, nil),
		"check-garbage":    checkView(CheckGarbage, func(v *CheckView) { v.Out = checkOut(""); v.Out.App = true }),
		"check-arriving":   checkView(CheckArriving, nil),
		"check-in":         checkIn(nil),
		"check-in-alone":   checkIn(func(v *CheckView) { v.Others, v.Live, v.Using, v.More = nil, 1, nil, 0 }),
		"check-in-again":   checkIn(func(v *CheckView) { v.Out = checkOut(CheckAgain); v.Apps = appsAfter() }),
		"check-in-another": checkIn(func(v *CheckView) { v.Out = checkOut(CheckAnother) }),
		"check-in-other":   checkIn(func(v *CheckView) { v.Out = checkOut(CheckOther) }),
		"help":             &HelpView{Frame: in(NavHelp), Policy: policy},
		"help-groups":      &HelpView{Frame: out(), Policy: short},
		"help-shared":      &HelpView{Frame: onShared(NavHelp), Policy: policy},
		"help-signed-out":  &HelpView{Frame: out(), Policy: policy, Browser: "firefox_computer"},
		"help-found":       &HelpView{Frame: out(), Policy: policy, Browser: "safari_ios", Search: "saved passwords"},
		"help-many":        &HelpView{Frame: in(NavHelp), Policy: policy, Search: "sign", Mails: true},
		"help-none":        &HelpView{Frame: in(NavHelp), Policy: policy, Search: `"><b>zebra`},
		"authorize":        &AuthorizeView{Frame: in(""), Client: chirp, Request: `"><b>`, Scopes: "openid profile"},
		"authorize-email": &AuthorizeView{Frame: in(""), Client: chirp, Email: "ada@example.com",
			Groups: []string{"staff", `"><b>`}, Scopes: "openid profile email groups offline_access"},
		"authorize-later":   &AuthorizeView{Frame: in(""), Client: chirp, Scopes: "openid email groups"},
		"authorize-told":    &AuthorizeView{Frame: in(""), Client: tierClients()["told"], Scopes: "openid"},
		"authorize-checked": &AuthorizeView{Frame: in(""), Client: tierClients()["checked"], Scopes: "openid"},
		"authorize-whole":   &AuthorizeView{Frame: in(""), Client: tierClients()["whole"], Scopes: "openid"},
		"authorize-account": &AuthorizeView{Frame: in(""), Client: tierClients()["account"], Scopes: "openid"},
		"authorize-own":     &AuthorizeView{Frame: in(""), Client: exeunt.Client{ID: "pocket", Name: "Pocket", Auth: exeunt.ClientPublic}},
		"authorize-back":    &AuthorizeView{Frame: in(""), Client: chirp, Scopes: "openid", Back: true},
		"device":            &DeviceView{Frame: in("")},
		"device-unknown": &DeviceView{Frame: in(""), UserCode: `"><b>`,
			Err: &exeunt.FieldError{Field: "user_code", Code: "unknown", Err: exeunt.ErrUserCode}},
		"device-throttled": &DeviceView{Frame: in(""),
			Err: &exeunt.ThrottledError{RetryAfter: time.Minute, Limit: exeunt.LimitUserCodes}},
		"device-found": &DeviceView{Frame: in(""), UserCode: "BCDF-GHJK", Client: &chirp, Scopes: "openid profile",
			Address: netip.MustParseAddr("192.0.2.7"), Agent: `"><b>`},
		"device-nowhere":   &DeviceView{Frame: in(""), UserCode: "BCDF-GHJK", Client: &chirp, Agent: "curl"},
		"device-allowed":   &DeviceView{Frame: in(""), Client: &chirp, Decided: true, Allowed: true},
		"device-declined":  &DeviceView{Frame: in(""), Client: &chirp, Decided: true},
		"sign-up-for":      &SignUpView{Frame: out(), Policy: policy, Client: &chirp},
		"unknown-client":   &ErrorView{Frame: out(), Status: 400, Err: exeunt.ErrUnknownClient},
		"redirect-uri":     &ErrorView{Frame: out(), Status: 400, Err: exeunt.ErrRedirectURI},
		"authorize-shared": &AuthorizeView{Frame: onShared(""), Client: chirp},
		"error":            &ErrorView{Frame: in(""), Status: 503, Err: exeunt.ErrNotConfirmed, Retry: "/sessions"},
		"error-foreign":    &ErrorView{Frame: out(), Status: 500, Err: errors.New("dial tcp 10.0.0.1: secret")},
		"other-account":    &OtherAccountView{Frame: in(""), Form: "/signin"},
		"other-nobody":     &OtherAccountView{Frame: out()},
	}
	maps.Copy(all, accountStates(policy))
	for _, view := range all {
		switch v := view.(type) {
		case *SignOutView:
			v.ofActive()
		case *EndSessionView:
			v.ofActive()
		}
	}
	for _, status := range []int{400, 401, 403, 404, 405, 409, 413, 418, 422, 429, 500, 502, 503} {
		all[fmt.Sprintf("error-%d", status)] = &ErrorView{Frame: out(), Status: status}
	}
	for _, s := range endedSessions() {
		all["ended-"+string(s.End.Reason)] = &EndedView{Frame: out(), Ended: s.End}
	}
	for i, err := range problems {
		all[fmt.Sprintf("error-problem-%d", i)] = &ErrorView{Frame: out(), Status: 400 + i%5, Err: err}
		all[fmt.Sprintf("sign-in-problem-%d", i)] = &SignInView{Frame: out(), Policy: policy, Err: err}
	}
	for field, codes := range fields {
		for _, code := range strings.Fields(codes) {
			err := &exeunt.FieldError{Field: field, Code: code, Err: &exeunt.Error{Code: code, Message: "in English"}}
			all["problem-"+field+"-"+code] = &SignUpView{Frame: out(), Policy: policy, Err: err}
			all["problem-security-"+field+"-"+code] = &SecurityView{Frame: in(NavSecurity), PasswordSet: testNow,
				Err: err}
		}
	}
	for _, code := range []string{"needed", "too_big", "no_image", "pixels", "busy"} {
		all["settings-picture-"+code] = &SettingsView{Frame: pictured(), Name: "Ada Quill", Policy: policy, This: this(),
			PictureErr: &exeunt.FieldError{Field: "picture", Code: code, Err: exeunt.ErrBadRequest}}
	}
	for month := time.January; month <= time.December; month++ {
		f := out()
		f.Now = time.Date(2026, month, 3, 12, 0, 0, 0, time.UTC)
		all[fmt.Sprintf("ended-in-%d", month)] = &EndedView{Frame: f, Ended: &exeunt.Ended{At: f.Now}}
	}
	return all
}

// ofActive fills in what a page has that signs out of the account that is active.
func (v *SignOutView) ofActive() {
	if v.Of.Handle == "" {
		v.Of = *v.Account
		v.Of.Session = v.Session
		v.Form = OutForm{Ticket: v.Ticket, OnShared: v.OnShared}
	}
}

// accountStates are pages of a browser in which several accounts are signed in.
func accountStates(policy exeunt.Policy) map[string]View {
	bob := AccountChip{Session: idFor(1), Name: `Bob <b>"X"</b>`, Handle: "bob"}
	with := func(current Nav, others ...AccountChip) Frame {
		f := in(current)
		f.OtherAccounts, f.MayAdd = others, len(others) < 2
		return f
	}
	asked := bob
	asked.Asked = true
	two, three := with("", bob), with("", bob, AccountChip{Session: idFor(2), Name: "Carol", Handle: "carol"})
	proof := Proof{Needed: true, Handle: "bob"}
	alone := in("")
	alone.MayAdd = true
	twin := session(1, exeunt.KindKept, this().Label, time.Hour, time.Minute)
	return map[string]View{
		"accounts": &AccountsView{Frame: three, Most: 3}, "accounts-one": &AccountsView{Frame: alone, Most: 5},
		"accounts-shared": &AccountsView{Frame: onShared(""), Most: 5},
		"accounts-full":   &AccountsView{Frame: three, Most: 3, Full: true}, "accounts-full-of-one": &AccountsView{Frame: alone, Most: 1, Full: true},
		"accounts-home":    &HomeView{Frame: with(NavHome, bob), This: this(), Clients: testClients},
		"accounts-asked":   &AccountsView{Frame: with("", asked), Most: 5},
		"accounts-menu":    &MenuView{Frame: three, Return: "/"},
		"switch":           &SwitchView{Frame: two, To: bob, Return: "/settings", Proof: proof},
		"switch-wrong":     &SwitchView{Frame: two, To: bob, Proof: proof, Err: exeunt.ErrWrongCredentials},
		"sign-in-adds":     &SignInView{Frame: two, Policy: policy},
		"sign-up-adds":     &SignUpView{Frame: two, Policy: policy},
		"sign-in-full":     &SignInView{Frame: three, Policy: policy},
		"sign-in-full-two": &SignInView{Frame: with("", bob, bob), Policy: policy},
		"sign-out-all":     &SignOutAllView{Frame: three, Tickets: []string{"ses_b.TICKET", "ses_c.TICKET"}},
		"sign-out-several": &SignOutView{Frame: two, Scope: exeunt.ScopeSession, This: this(), Clients: testClients},
		"sign-out-of-other": &SignOutView{Frame: two, Scope: exeunt.ScopeSession, This: this(), Clients: testClients, Of: bob,
			Form: OutForm{Ticket: "ses_b.TICKET"}},
		"sign-out-account-of-other": &SignOutView{Frame: two, Scope: exeunt.ScopeAccount, This: this(), Clients: testClients, Of: bob},
		"sign-out-like":             &SignOutView{Frame: two, Scope: exeunt.ScopeSession, This: this(), Others: []exeunt.Session{twin}, Live: 2, Clients: testClients},
		"sign-out-like-two": &SignOutView{Frame: two, Scope: exeunt.ScopeSession, This: this(), Others: []exeunt.Session{twin, others()[3]}, Live: 3,
			Clients: testClients},
		"sign-out-like-three": &SignOutView{Frame: two, Scope: exeunt.ScopeSession, This: this(), Others: []exeunt.Session{twin, others()[3], others()[2]},
			Live: 4, Clients: testClients},
		"signed-out-one-of": &SignedOutView{Frame: two, Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeSession, Ended: 1}, Proof: "/receipts/h.1.code"},
		"signed-out-two-of": &SignedOutView{Frame: three, Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeSession, Ended: 1}},
		"signed-out-every": &SignedOutView{Frame: out(), Done: &SignOutDone{At: testNow, Scope: exeunt.ScopeSession, Ended: 2,
			More: []AccountLeft{{At: testNow}}}, Proof: "/receipts/h.1.code", Proofs: []NumberedProof{{1, "/receipts/h.1.code"}, {2, "/receipts/h.2.code"}}},
		"choose": &ChooseView{Frame: two, Client: testClients["chirp"], Another: "/signin?return=/authorize", Choices: []Choice{
			{AccountChip: *two.Account, To: "/authorize?request=x&as=ses_a"}, {AccountChip: bob, To: "/authorize?request=x&as=ses_b"}}},
		"other-account-tab": &OtherAccountView{Frame: two, Form: "/settings", Tab: &bob},
	}
}

// activityEntries has every action, and every reason.
func activityEntries() (list []exeunt.AuditEntry) {
	at := testNow
	add := func(action exeunt.AuditAction, detail string, by exeunt.Actor) {
		at = at.Add(-7 * time.Hour)
		list = append(list, exeunt.AuditEntry{At: at, Account: exeunt.AccountID{}, Action: action, Detail: detail, By: by})
	}
	person := exeunt.Actor{Kind: exeunt.ActorPerson, Label: "Firefox on Linux", Address: netip.MustParseAddr("192.0.2.7")}
	operator := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}
	link := exeunt.Actor{Kind: exeunt.ActorLink, Address: netip.MustParseAddr("2001:db8::7")}
	add(exeunt.AuditSignIn, "kept password", person)
	add(exeunt.AuditSignInFailed, "wrong password", exeunt.Actor{Kind: exeunt.ActorPerson, Address: person.Address})
	add(exeunt.AuditSignInFailed, "wrong password, and 1 more before", person)
	add(exeunt.AuditSignInFailed, "wrong password, and 12 more before", person)
	add(exeunt.AuditRenewed, "renewed", person)
	add(exeunt.AuditAppSignIn, "chirp", person)
	add(exeunt.AuditAllowed, "chirp openid profile", person)
	add(exeunt.AuditWithdrawn, "<gone>", person)
	add(exeunt.AuditProfile, "", person)
	add(exeunt.AuditProfile, "email_confirmed", operator)
	add(exeunt.AuditProfile, "email_changed", link)
	add(exeunt.AuditProfile, "picture_changed", person)
	add(exeunt.AuditProfile, "picture_removed", operator)
	add(exeunt.AuditAddressEntered, "", person)
	add(exeunt.AuditResetAsked, "", exeunt.Actor{Kind: exeunt.ActorPerson, Address: person.Address})
	for _, action := range []exeunt.AuditAction{exeunt.AuditFactorAdded, exeunt.AuditFactorRemoved,
		exeunt.AuditFactorRenamed, exeunt.AuditRecoveryCodes, exeunt.AuditRecoveryCode, exeunt.AuditUnfamiliar,
		exeunt.AuditRecognised} {
		add(action, "", person)
	}
	add(exeunt.AuditGroups, "", operator)
	add(exeunt.AuditGroups, "added", operator)
	add(exeunt.AuditGroups, "removed", operator)
	add(exeunt.AuditStatus, "active", operator)
	add(exeunt.AuditKept, "", person)
	add(exeunt.AuditExported, "", operator)
	add(exeunt.AuditResetLink, "", operator)
	add(exeunt.AuditSignUp, "", link)
	add("from_a_newer_program", `"><b>`, exeunt.Actor{Kind: "robot"})
	for _, scope := range []exeunt.Scope{exeunt.ScopeSession, exeunt.ScopeOthers, exeunt.ScopeAccount, "criteria"} {
		add(exeunt.AuditEnd, string(scope)+" signed_out", person)
	}
	list[len(list)-4].Session, list[len(list)-4].Label = idFor(3), `"><b> on Linux`
	add(exeunt.AuditEnd, "session signed_out", person)
	list[len(list)-1].Client = "chirp"
	for _, reason := range []exeunt.Reason{exeunt.ReasonIdle, exeunt.ReasonAbsolute, exeunt.ReasonReplaced,
		exeunt.ReasonTooMany, exeunt.ReasonClosed, exeunt.ReasonIncomplete, exeunt.ReasonPasswordChange, exeunt.ReasonAddressUndone, exeunt.ReasonAdministrator,
		exeunt.ReasonDisabled, exeunt.ReasonNotMe, exeunt.ReasonDeleted, exeunt.ReasonSecured, exeunt.ReasonRevoked, exeunt.ReasonClientRemoved, "from_a_newer_program"} {
		add(exeunt.AuditEnd, "account "+string(reason), exeunt.System())
	}
	add(exeunt.AuditEnd, "account signed_out", operator)
	return list
}

func testFactor(kind exeunt.FactorKind) exeunt.Factor {
	f := exeunt.Factor{Kind: kind, Name: "Ada’s <phone>", Created: testNow.Add(-day)}
	if kind == exeunt.FactorTOTP {
		f.Used, f.UsedLabel = testNow.Add(-time.Hour), "Firefox on Linux"
	}
	return f
}

// by is a session of somebody who has proved who they are by those methods.
func by(s exeunt.Session, methods ...exeunt.Method) exeunt.Session {
	s.Methods = methods
	return s
}

func receiptView() *ReceiptView {
	lost := AppAfter{AppReach: AppReach{Client: tierClients()["told"], Reach: exeunt.Reach{Tier: exeunt.TierTold}}, Lost: true}
	return &ReceiptView{Frame: pathed("/receipts/h.1.code"), At: testNow.Add(-time.Hour), Scope: exeunt.ScopeSession, Sessions: 1, SignIns: 3,
		Reason: exeunt.ReasonSignedOut, By: "here", Event: 17, Log: "8c2f0e5d9a714b36b1d7c0a95e6f3d12", Apps: append(appsAfter(), lost),
		File: "/receipts/h.1.code.jws", Name: "exeunt-receipt-2026-11-22-17.jws", Issuer: "https://id.example.com",
		Keys: "https://id.example.com/oauth/receipt-keys", Check: "/receipts/h.1.code/check"}
}

func receiptAs(change func(*ReceiptView)) *ReceiptView {
	v := receiptView()
	change(v)
	return v
}

func siteView(why SiteWhy) *SiteView {
	return &SiteView{Frame: in(""), Site: exeunt.Client{ID: "wiki", Name: "Wiki & more"}, Why: why, To: "https://wiki.example/page?x=1"}
}

func checkView(state CheckState, change func(*CheckView)) *CheckView {
	v := &CheckView{Frame: pathed("/check"), State: state, Browser: "firefox_computer"}
	if change != nil {
		change(v)
	}
	return v
}

func checkOut(who CheckWho) *CheckOut {
	return &CheckOut{At: testNow.Add(-2 * time.Minute), Scope: exeunt.ScopeSession, Who: who}
}

// checkIn is the check of somebody who is signed in.
func checkIn(change func(*CheckView)) *CheckView {
	v := &CheckView{Frame: in(NavHelp), State: CheckLive, This: this(), Others: others()[:3], Live: 5, More: 2}
	for _, a := range appsAfter() {
		v.Using = append(v.Using, a.AppReach)
	}
	if change != nil {
		change(v)
	}
	return v
}

// waitingApps is an app that has not been told yet.
func waitingApps() []AppAfter {
	return []AppAfter{{AppReach: AppReach{Client: tierClients()["told"], Reach: exeunt.Reach{Tier: exeunt.TierTold}}}}
}
