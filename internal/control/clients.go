package control

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/operate"
)

// SettingsOf returns all settings of a client.
func SettingsOf(c exeunt.Client) ClientSettings {
	auth, alg, life := string(c.AuthMethod()), c.Alg(), brief(c.LifeOfTokens())
	list := func(l []string) *[]string {
		if l == nil {
			l = []string{}
		}
		return &l
	}
	return ClientSettings{
		Name: &c.Name, HomeURL: &c.HomeURL, RedirectURIs: list(c.RedirectURIs), Auth: &auth, NoPKCE: &c.NoPKCE,
		Algorithm: &alg, TokenLife: &life, FirstParty: &c.FirstParty, Groups: list(c.Groups), Checked: &c.Checked,
		PostLogoutURIs: list(c.PostLogoutURIs), SignOutAlone: &c.SignOutAlone, BackchannelURI: &c.BackchannelURI,
		BackchannelAccount: &c.BackchannelAccount, SignOutURL: &c.SignOutURL, DeviceGrant: &c.DeviceGrant,
		RequireFactor: &c.RequireFactor, MayRevoke: &c.MayRevoke,
	}
}

// brief writes a duration as people do: 5m, not 5m0s.
func brief(d time.Duration) string {
	text := d.String()
	for _, unit := range []string{"m", "h"} {
		for _, zero := range []string{"0s", "0m"} {
			if rest, ok := strings.CutSuffix(text, unit+zero); ok {
				text = rest + unit
			}
		}
	}
	return text
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Apply changes those settings of a client that are given.
func (s ClientSettings) Apply(c *exeunt.Client) error {
	set(&c.Name, s.Name)
	set(&c.HomeURL, s.HomeURL)
	set(&c.RedirectURIs, s.RedirectURIs)
	set((*string)(&c.Auth), s.Auth)
	set(&c.NoPKCE, s.NoPKCE)
	set(&c.Algorithm, s.Algorithm)
	set(&c.FirstParty, s.FirstParty)
	set(&c.DeviceGrant, s.DeviceGrant)
	set(&c.RequireFactor, s.RequireFactor)
	set(&c.Groups, s.Groups)
	set(&c.Checked, s.Checked)
	set(&c.PostLogoutURIs, s.PostLogoutURIs)
	set(&c.SignOutAlone, s.SignOutAlone)
	set(&c.BackchannelURI, s.BackchannelURI)
	set(&c.BackchannelAccount, s.BackchannelAccount)
	set(&c.SignOutURL, s.SignOutURL)
	set(&c.MayRevoke, s.MayRevoke)
	if s.TokenLife != nil {
		life, err := time.ParseDuration(*s.TokenLife)
		if err != nil {
			return fmt.Errorf("token_life %q: %w", *s.TokenLife, exeunt.ErrBadRequest)
		}
		c.TokenLife = life
	}
	return nil
}

func clientWire(c *operate.Client) RegisteredClient {
	out := RegisteredClient{ID: string(c.ID), ClientSettings: SettingsOf(c.Client), Secrets: len(c.Keys),
		Kind: "app", Source: "operator", Created: c.Created, Changed: c.Changed}
	if c.Site != nil {
		out.Kind, out.Site = "site", siteWire(c.Site)
	}
	if c.FromFile {
		out.Source = "file"
	}
	if n := c.Connector; n != nil {
		out.Connector = &Connector{On: "account"}
		if n.OnSession {
			out.Connector.On = "session"
		}
		for i := range n.Steps {
			out.Connector.Steps = append(out.Connector.Steps, n.Steps[i].Verb()+" "+n.Steps[i].URL)
		}
	}
	return out
}

func siteWire(s *exeunt.Site) *Site {
	out := &Site{Host: s.Host, Upstream: s.Upstream, Open: append([]string{}, s.Open...),
		SignOut: append([]string{}, s.SignOut...), Programs: []string{}}
	if s.Idle > 0 {
		out.Idle = brief(s.Idle)
	}
	if s.Fresh > 0 {
		out.Fresh = brief(s.Fresh)
	}
	for _, t := range s.Tokens {
		out.Programs = append(out.Programs, t.User)
	}
	return out
}

func (s *Server) clients(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := paging(r)
	if err != nil {
		return err
	}
	list, err := s.Operate.Clients(r.Context(), operator(r), after, limit)
	if err != nil {
		return err
	}
	return replyList(w, list, clientWire)
}

func clientID(r *http.Request) exeunt.ClientID { return exeunt.ClientID(r.PathValue("id")) }

func (s *Server) client(w http.ResponseWriter, r *http.Request) error {
	c, err := s.Operate.Client(r.Context(), operator(r), clientID(r))
	if err != nil {
		return s.noClient(err, r)
	}
	out := clientWire(&c)
	out.AppSessions, out.AppSessionsAtLeast = &c.AppSessions.Count, c.AppSessions.AtLeast
	return reply(w, out)
}

// replySecret answers with a secret that was made, if any, and leaves a line that says who changed the client.
func (s *Server) replySecret(
	w http.ResponseWriter, r *http.Request, did string, c operate.Client, t exeunt.Token,
) error {
	s.Surface.Log.Info("an operator "+did, "client", c.ID, "by", operator(r).Label)
	out := ClientSecret{ID: string(c.ID), Issuer: s.URL, Secrets: len(c.Keys)}
	if !t.IsZero() {
		out.Secret = t.Reveal()
	}
	return reply(w, out)
}

func (s *Server) addClient(w http.ResponseWriter, r *http.Request) error {
	var n NewClient
	if err := readBody(w, r, &n); err != nil {
		return err
	}
	c := exeunt.Client{ID: exeunt.ClientID(n.ID)}
	if err := n.Apply(&c); err != nil {
		return err
	}
	made, secret, err := s.Operate.AddClient(r.Context(), operator(r), c)
	if err != nil {
		return err
	}
	return s.replySecret(w, r, "registered a client", made, secret)
}

func (s *Server) setClient(w http.ResponseWriter, r *http.Request) error {
	var n ClientSettings
	if err := readBody(w, r, &n); err != nil {
		return err
	}
	c, secret, err := s.Operate.ChangeClient(r.Context(), operator(r), clientID(r), n.Apply)
	if err != nil {
		return s.noClient(err, r)
	}
	return s.replySecret(w, r, "changed a client", c, secret)
}

func (s *Server) rotateSecret(w http.ResponseWriter, r *http.Request) error {
	var n Rotation
	if err := readBody(w, r, &n); err != nil {
		return err
	}
	if n.DropOld {
		c, err := s.Operate.DropOldSecret(r.Context(), operator(r), clientID(r))
		if err != nil {
			return s.noClient(err, r)
		}
		return s.replySecret(w, r, "removed the old secret of a client", c, exeunt.Token{})
	}
	c, secret, err := s.Operate.RotateSecret(r.Context(), operator(r), clientID(r))
	if err != nil {
		return s.noClient(err, r)
	}
	return s.replySecret(w, r, "made a new secret of a client", c, secret)
}

func (s *Server) removeClient(w http.ResponseWriter, r *http.Request) error {
	n, err := s.Operate.RemoveClient(r.Context(), operator(r), clientID(r))
	if err != nil {
		return s.noClient(err, r)
	}
	s.Surface.Log.Info("an operator removed a client", "client", clientID(r), "by", operator(r).Label)
	return reply(w, ClientRemoved{ID: string(clientID(r)), AppSessions: n.Count, AppSessionsAtLeast: n.AtLeast})
}
