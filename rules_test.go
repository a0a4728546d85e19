package exeunt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEventCovers(t *testing.T) {
	acc, other := NewAccountID(), NewAccountID()
	ses, kept, app := NewSessionID(), NewSessionID(), NewAppSessionID()
	event := func(scope Scope, s SessionID, p AppSessionID, generation int64) Event {
		return Event{Kind: EventEnded, Target: Target{Account: acc, Scope: scope, Session: s, AppSession: p},
			Generation: generation}
	}
	for _, c := range []struct {
		name       string
		event      Event
		account    AccountID
		session    SessionID
		generation int64
		want       bool
	}{
		{"the session", event(ScopeSession, ses, AppSessionID{}, 0), acc, ses, 9, true},
		{"another session", event(ScopeSession, ses, AppSessionID{}, 0), acc, kept, 1, false},
		{"only its app", event(ScopeSession, ses, app, 0), acc, ses, 1, false},
		{"others: the kept one", event(ScopeOthers, kept, AppSessionID{}, 5), acc, kept, 4, false},
		{"others: born before", event(ScopeOthers, kept, AppSessionID{}, 5), acc, ses, 4, true},
		{"others: born after", event(ScopeOthers, kept, AppSessionID{}, 5), acc, ses, 5, false},
		{"account: born before", event(ScopeAccount, SessionID{}, AppSessionID{}, 5), acc, ses, 4, true},
		{"account: born after", event(ScopeAccount, SessionID{}, AppSessionID{}, 5), acc, ses, 5, false},
		{"another account", event(ScopeAccount, SessionID{}, AppSessionID{}, 5), other, ses, 1, false},
		{"a changed profile", Event{Kind: EventProfileChanged, Target: Target{Account: acc}, Version: 2},
			acc, ses, 0, false},
		{"changed groups", Event{Kind: EventGroupsChanged, Target: Target{Account: acc}, Version: 2},
			acc, ses, 0, false},
		{"a changed client", Event{Kind: EventClientChanged, Target: Target{Client: "chirp"}}, acc, ses, 0, false},
		{"a client's apps", Event{Kind: EventAppsEnded, Target: Target{Client: "chirp"}}, acc, ses, 0, false},
		{"its token is renewed", Event{Kind: EventRenewed, Target: Target{Account: acc, Session: ses}}, acc, ses, 9,
			true},
		{"another's token is renewed", Event{Kind: EventRenewed, Target: Target{Account: acc, Session: kept}}, acc, ses,
			9, false},
		{"a kind of a newer program", Event{Kind: "moved", Target: Target{Account: acc}}, acc, ses, 9, true},
		{"a newer kind, another account", Event{Kind: "moved", Target: Target{Account: other}}, acc, ses, 9, false},
		{"a newer kind, of no account", Event{Kind: "moved", Target: Target{Client: "chirp"}}, acc, ses, 9, true},
		{"a scope of a newer program", event("client", SessionID{}, AppSessionID{}, 0), acc, ses, 9, true},
		{"a newer scope, another account", event("client", SessionID{}, AppSessionID{}, 0), other, ses, 9, false},
	} {
		if got := c.event.Covers(c.account, c.session, c.generation); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for name, c := range map[string]struct {
		event Event
		want  bool
	}{
		"itself":             {event(ScopeSession, ses, app, 0), true},
		"its parent":         {event(ScopeSession, ses, AppSessionID{}, 0), false},
		"a sibling":          {event(ScopeSession, ses, NewAppSessionID(), 0), false},
		"the account":        {event(ScopeAccount, SessionID{}, AppSessionID{}, 2), false},
		"the client":         {Event{Kind: EventAppsEnded, Target: Target{Client: "chirp"}}, true},
		"another client":     {Event{Kind: EventAppsEnded, Target: Target{Client: "other"}}, false},
		"its changed client": {Event{Kind: EventClientChanged, Target: Target{Client: "chirp"}}, false},
	} {
		if got := c.event.CoversApp(app, "chirp"); got != c.want {
			t.Errorf("CoversApp, %s: %v", name, got)
		}
	}
}

func TestActorMayEnd(t *testing.T) {
	acc, ses, app := NewAccountID(), NewSessionID(), NewAppSessionID()
	person := Actor{Kind: ActorPerson, Account: acc, Session: ses}
	inApp := Actor{Kind: ActorPerson, Account: acc, Session: ses, App: app}
	rev := func(a AccountID, scope Scope, s SessionID, p AppSessionID) Revocation {
		return Revocation{Target: Target{Account: a, Scope: scope, Session: s, AppSession: p}}
	}
	for _, c := range []struct {
		name string
		by   Actor
		rev  Revocation
		want bool
	}{
		{"own session", person, rev(acc, ScopeSession, ses, AppSessionID{}), true},
		{"own other session", person, rev(acc, ScopeSession, NewSessionID(), AppSessionID{}), true},
		{"own account", person, rev(acc, ScopeAccount, SessionID{}, AppSessionID{}), true},
		{"own others", person, rev(acc, ScopeOthers, ses, AppSessionID{}), true},
		{"another's session", person, rev(NewAccountID(), ScopeSession, ses, AppSessionID{}), false},
		{"nobody's account, as nobody", Actor{Kind: ActorPerson}, Revocation{Target: Target{Scope: ScopeAccount}},
			false},
		{"an app: itself", inApp, rev(acc, ScopeSession, ses, app), true},
		{"an app: its parent", inApp, rev(acc, ScopeSession, ses, AppSessionID{}), false},
		{"an app: a sibling", inApp, rev(acc, ScopeSession, ses, NewAppSessionID()), false},
		{"an app: everything", inApp, rev(acc, ScopeAccount, SessionID{}, AppSessionID{}), false},
		{"an app: others", inApp, rev(acc, ScopeOthers, ses, app), false},
		{"operator", Actor{Kind: ActorOperator}, rev(acc, ScopeAccount, SessionID{}, AppSessionID{}), true},
		{"system", System(), rev(acc, ScopeSession, ses, AppSessionID{}), true},
		{"no kind", Actor{Account: acc}, rev(acc, ScopeSession, ses, AppSessionID{}), false},
	} {
		if got := c.by.MayEnd(c.rev); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if person.Key() == (Actor{Kind: ActorOperator, Session: ses}).Key() ||
		person.Key() == (Actor{Kind: ActorPerson, Session: NewSessionID()}).Key() {
		t.Error("two actors share their idempotency keys")
	}
}

func TestSessionEndsAtTheInstantOfItsLimit(t *testing.T) {
	start := time.UnixMilli(1_000_000)
	s := Session{Seen: start, Idle: time.Minute, ExpiresAt: start.Add(time.Hour), Generation: 3}
	for _, c := range []struct {
		seen, after time.Duration
		want        Reason
	}{
		{0, 0, ""}, {0, time.Minute - time.Millisecond, ""}, {0, time.Minute, ReasonIdle}, {0, time.Hour, ReasonIdle},
		// both have passed; idle came first
		{time.Hour - time.Second, time.Hour - time.Millisecond, ""},
		{time.Hour - time.Second, time.Hour, ReasonAbsolute},
	} {
		s.Seen = start.Add(c.seen)
		if got := s.Overdue(start.Add(c.after)); got != c.want {
			t.Errorf("seen %v, after %v: %q", c.seen, c.after, got)
		}
		if s.Live(start.Add(c.after), 3) != (c.want == "") {
			t.Errorf("seen %v, after %v: Live disagrees with Overdue", c.seen, c.after)
		}
	}
	s.Seen = start
	if !s.Live(start, 2) || s.Live(start, 4) {
		t.Error("a session lives in its own generation and later ones only")
	}
	s.End = &Ended{}
	if s.Live(start, 3) {
		t.Error("an ended session lives")
	}
}

func TestPolicy(t *testing.T) {
	good := DefaultPolicy()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	if good.For("unheard of") != good.Shared || good.For(KindKept) != good.Kept || good.For(KindApp) != good.App {
		t.Error("For gives the wrong limits")
	}
	if good.LongestAbsolute() != 180*24*time.Hour || good.ShortestIdle() != 15*time.Minute {
		t.Error("the longest and shortest limits are wrong")
	}
	for name, spoil := range map[string]func(*Limits){
		"no idle": func(l *Limits) { l.Idle = 0 }, "below a second": func(l *Limits) { l.Idle = time.Second - 1 },
		"absolute below idle": func(l *Limits) { l.Absolute = l.Idle - 1 },
		"no warning":          func(l *Limits) { l.Warning = 0 },
		"warning at once":     func(l *Limits) { l.Warning = l.Idle }, "negative": func(l *Limits) { l.Warning = -1 },
	} {
		for i := range 3 {
			p := DefaultPolicy()
			spoil([]*Limits{&p.Kept, &p.Shared, &p.App}[i])
			if p.Validate() == nil {
				t.Errorf("%s: accepted for limits %d", name, i)
			}
		}
	}
}

func TestParseHandle(t *testing.T) {
	for in, want := range map[string]string{"ada": "ada", "@Ada": "ada", " ADA_99 ": "ada_99", "ab": "ab",
		"1ada": "1ada", "42": "42", "a.b": "a.b", "Ada.Quill-2": "ada.quill-2", "a_b__": "a_b__", "a-_b": "a-_b",
		strings.Repeat("m", 63): strings.Repeat("m", 63)} {
		if got, ok := ParseHandle(in); !ok || got != want {
			t.Errorf("ParseHandle(%q) = %q, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "a", "1", "@", "@@ada", "_ada", "a b", "ada@example.com", "ädä", "ada\n.", "аdа",
		".ada", "-ada", "ada.", "ada-", "a..b", "a--b", "a.-b", "a-.b", ".", "..", "--", "a/b", "a,b", "a\\b",
		strings.Repeat("m", 64)} {
		if got, ok := ParseHandle(in); ok {
			t.Errorf("ParseHandle(%q) = %q, accepted", in, got)
		}
	}
}

func TestValidGroup(t *testing.T) {
	for _, in := range []string{"a", "admins", "0", "a.b-c_d", "a--b.", strings.Repeat("g", 63)} {
		if !ValidGroup(in) {
			t.Errorf("%q is refused", in)
		}
	}
	for _, in := range []string{"", "Admins", "a b", " a", "a,b", ".a", "-a", "_a", "é", "a\n", strings.Repeat("g", 64)} {
		if ValidGroup(in) {
			t.Errorf("%q is accepted", in)
		}
	}
}

func TestClients(t *testing.T) {
	good := Client{ID: "chirp", Name: "Chirp", HomeURL: "http://chirp.localhost:8081",
		RedirectURIs: []string{"http://chirp.localhost:8081/callback"}, Keys: []TokenHash{{1}}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Client){
		"id": func(c *Client) { c.ID = "Chirp!" }, "name": func(c *Client) { c.Name = "" },
		"no address": func(c *Client) { c.RedirectURIs = nil },
		"no home": func(c *Client) {
			c.Auth, c.Keys, c.HomeURL, c.RedirectURIs = ClientPublic, nil, "", []string{"com.example.app:/callback"}
		},
		"no secret":              func(c *Client) { c.Keys = nil },
		"a public client's":      func(c *Client) { c.Auth = ClientPublic },
		"no PKCE without secret": func(c *Client) { c.Auth, c.Keys, c.NoPKCE = ClientPublic, nil, true },
		"checked without secret": func(c *Client) { c.Auth, c.Keys, c.Checked = ClientPublic, nil, true },
		"another method":         func(c *Client) { c.Auth = "private_key_jwt" },
		"another algorithm":      func(c *Client) { c.Algorithm = "none" },
		"a life of nothing":      func(c *Client) { c.TokenLife = time.Second },
		"a life of days":         func(c *Client) { c.TokenLife = 48 * time.Hour },
		"an app's own scheme":    func(c *Client) { c.RedirectURIs = []string{"com.example.app:/callback"} },
		"a group of nobody":      func(c *Client) { c.Groups = []string{"staff", "Admins"} },
		"plain http after":       func(c *Client) { c.PostLogoutURIs = []string{"http://a.example/"} },
		"a notice to a file":     func(c *Client) { c.BackchannelURI = "file:///etc/passwd" },
		"too many addresses":     func(c *Client) { c.RedirectURIs = slices.Repeat(c.RedirectURIs, 33) },
		"an address without end": func(c *Client) { c.RedirectURIs = []string{"https://a.example/" + strings.Repeat("a", 600)} },
		"a fragment of nothing":  func(c *Client) { c.RedirectURIs = []string{"https://a.example/#"} },
		"plain http":             func(c *Client) { c.RedirectURIs = []string{"http://a.example/callback"} },
		"plain http second": func(c *Client) {
			c.RedirectURIs = []string{"https://a.example/callback", "http://10.0.0.1/callback"}
		},
		"script":   func(c *Client) { c.RedirectURIs = []string{"javascript:alert(1)"} },
		"relative": func(c *Client) { c.HomeURL = "/home" },
		"fragment": func(c *Client) { c.RedirectURIs = []string{"https://a.example/#x"} },
		"user":     func(c *Client) { c.HomeURL = "https://a@b.example" },
	} {
		c := good
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, uri := range []string{"http://127.0.0.1:8081/", "http://[::1]/", "http://localhost/cb", "https://a.example/"} {
		c := good
		c.RedirectURIs = []string{uri}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
	for _, uri := range []string{"http://chirp.localhost:8081/callback?x=1", "http://chirp.localhost:8081/callback/",
		"http://CHIRP.localhost:8081/callback", ""} {
		if good.MayRedirectTo(uri) {
			t.Errorf("%q is not registered, and accepted", uri)
		}
	}
}

func TestCodeOf(t *testing.T) {
	for want, err := range map[string]error{
		"not_found": fmt.Errorf("session x: %w", ErrNotFound), "throttled": fmt.Errorf("x: %w", &ThrottledError{}),
		"endings_throttled": &ThrottledError{Limit: LimitEndings},
		"taken":             &FieldError{Field: "handle", Code: "taken", Err: ErrHandleTaken},
		"":                  errors.New("disk on fire"),
	} {
		if got := CodeOf(err); got != want {
			t.Errorf("CodeOf(%v) = %q, want %q", err, got, want)
		}
	}
}

// A wait that is said is never shorter than the one that is meant.
func TestThrottledSaysHowLong(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"Wait 1 second,": 0, "Wait 2 seconds,": 1500 * time.Millisecond, "Wait 60 seconds,": time.Minute,
		"Wait 2 minutes,": time.Minute + time.Millisecond, "Wait 5 minutes,": 5*time.Minute - time.Millisecond,
	} {
		if got := (&ThrottledError{RetryAfter: d}).Error(); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// A public client's app listens on whatever port of this machine is free; nobody else may choose.
func TestRedirectAddresses(t *testing.T) {
	c := Client{Auth: ClientPublic, RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]:99/cb?x=1", "http://localhost/cb",
		"https://a.example/cb", "com.example.app:/cb"}}
	for uri, want := range map[string]bool{
		"http://127.0.0.1/cb": true, "http://127.0.0.1:5005/cb": true, "http://[::1]:5005/cb?x=1": true,
		"https://a.example/cb": true, "com.example.app:/cb": true,
		"http://localhost:5005/cb": false, "http://127.0.0.1:5005/cb2": false, "http://127.0.0.1:5005/cb?x": false,
		"http://127.0.0.2:5005/cb": false, "https://127.0.0.1:5005/cb": false, "http://a@127.0.0.1:5005/cb": false,
		"http://127.0.0.1:5005/cb#x": false, "https://a.example:444/cb": false, "https://a.example/cb/": false, "": false,
	} {
		if got := c.MayRedirectTo(uri); got != want {
			t.Errorf("%s: %v", uri, got)
		}
	}
	c.Auth = ClientSecretBasic
	if c.MayRedirectTo("http://127.0.0.1:5005/cb") {
		t.Error("a client with a secret may choose its port")
	}
}
