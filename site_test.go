package exeunt

import "testing"

func TestOpenPaths(t *testing.T) {
	s := &Site{Host: "wiki.example.com", Open: []string{"/health", "/public/"}, SignOut: []string{"/logout"}}
	for path, open := range map[string]bool{
		"/health": true, "/health/": false, "/healthy": false, "/public/": true, "/public/a/b": true, "/public": false,
		// What servers may read in two ways needs a sign-in.
		"/public/../admin": false, "/public/..%2fadmin": false, "/public//a": false, "/public/a;b": false, "/public\\a": false,
		"/public/%61": false, "/public/./a": false, "/": false, "": false,
	} {
		if got := s.IsOpen(path); got != open {
			t.Errorf("%q is open: %v", path, got)
		}
	}
	if !s.SignsOut("/logout") || s.SignsOut("/logout2") {
		t.Error("the app's own sign-out")
	}
}

// Only a token is a service token, and only one of the kind that operators are given.
func TestServiceTokens(t *testing.T) {
	key, session := NewToken(UseClient), NewToken(UseSession)
	s := &Site{Tokens: []ServiceToken{{User: "backup", Hash: key.Hash()}, {User: "nothing", Hash: Token{}.Hash()},
		{User: "session", Hash: session.Hash()}}}
	if of, ok := s.ServiceOf(key); !ok || of.User != "backup" {
		t.Errorf("%v, %v", of, ok)
	}
	for _, none := range []Token{{}, session, NewToken(UseClient)} {
		if of, ok := s.ServiceOf(none); ok {
			t.Errorf("%v lets %s in", none, of.User)
		}
	}
}

func TestSites(t *testing.T) {
	client := func(s Site) Client {
		return Client{ID: "wiki", Name: "Wiki", Auth: ClientSite, Checked: true, RedirectURIs: []string{s.Callback()}, Site: &s}
	}
	good := Site{Host: "wiki.example.com", Upstream: "http://127.0.0.1:3000", Open: []string{"/health"}}
	if err := client(good).Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Site){
		"no host":              func(s *Site) { s.Host = "" },
		"a scheme":             func(s *Site) { s.Host = "https://wiki.example.com" },
		"an address":           func(s *Site) { s.Host = "192.0.2.1" },
		"capital letters":      func(s *Site) { s.Host = "Wiki.example.com" },
		"plain, far away":      func(s *Site) { s.Plain = true },
		"a path upstream":      func(s *Site) { s.Upstream = "http://127.0.0.1:3000/wiki" },
		"no scheme upstream":   func(s *Site) { s.Upstream = "127.0.0.1:3000" },
		"a short idle timeout": func(s *Site) { s.Idle = 1 },
		"an ambiguous path":    func(s *Site) { s.Open = []string{"/a/../b"} },
		"our own path":         func(s *Site) { s.Open = []string{SitePrefix} },
		"signing out anywhere": func(s *Site) { s.SignOut = []string{"/"} },
		"a nameless token":     func(s *Site) { s.Tokens = []ServiceToken{{}} },
		"a token of nothing":   func(s *Site) { s.Tokens = []ServiceToken{{User: "backup", Hash: Token{}.Hash()}} },
	} {
		s := good
		change(&s)
		if client(s).Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for name, c := range map[string]Client{
		"a site with a secret":           {ID: "w", Name: "W", Auth: ClientSite, Checked: true, RedirectURIs: []string{good.Callback()}, Site: &good, Keys: make([]TokenHash, 1)},
		"a site that is not asked about": {ID: "w", Name: "W", Auth: ClientSite, RedirectURIs: []string{good.Callback()}, Site: &good},
		"a site with another address":    {ID: "w", Name: "W", Auth: ClientSite, Checked: true, RedirectURIs: []string{"https://evil.example/"}, Site: &good},
		"a site's auth, and no site":     {ID: "w", Name: "W", Auth: ClientSite, RedirectURIs: []string{good.Callback()}},
		"a site that signs in by itself": {ID: "w", Name: "W", Auth: ClientPublic, RedirectURIs: []string{good.Callback()}, Site: &good},
	} {
		if c.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
