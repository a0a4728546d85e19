// Package presets knows how well-known apps are joined: the settings of their clients, and what is set in the app.
//
// It owns those texts only. It registers nothing.
package presets

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/exeunt/exeunt"
)

// Preset is what is known of an app.
type Preset struct {
	Name string // as operators give it
	App  string // as people call it

	client   exeunt.Client // its addresses begin with {url}
	where    string        // where the app's settings are
	settings string        // the app's settings, ready to be pasted
	notes    []string
	// connector is a table of the configuration file, ready to be pasted, by which the app's API ends what somebody has in
	// it; "" if none is known. what says what it does there, and what its secret is.
	connector, what string
	recipe          recipe
}

// Names returns the names of all presets.
func Names() (names []string) {
	for _, p := range all() {
		names = append(names, p.Name)
	}
	return names
}

// Named returns a preset.
func Named(name string) (Preset, error) {
	for _, p := range all() {
		if p.Name == name {
			return p, nil
		}
	}
	return Preset{}, fmt.Errorf("there is no preset %q: use one of %s", name, strings.Join(Names(), ", "))
}

// addressShape has no character that a shell, YAML or an .ini file reads as more than itself.
var addressShape = regexp.MustCompile(`^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?(/[A-Za-z0-9._~-]+)*/*$`)

// base returns the app's address without a slash at its end.
func base(address string) (string, error) {
	if !addressShape.MatchString(address) {
		return "", fmt.Errorf("invalid address %q of the app: use one like https://app.example.com", address)
	}
	return strings.TrimRight(address, "/"), nil
}

// Client returns the settings of the client of an app that people open at an address.
func (p Preset) Client(id exeunt.ClientID, address string) (exeunt.Client, error) {
	at, err := base(address)
	if err != nil {
		return exeunt.Client{}, err
	}
	c := p.client
	c.ID, c.Name = id, p.App
	place := func(s string) string { return strings.ReplaceAll(s, "{url}", at) }
	places := func(list []string) (out []string) {
		for _, s := range list {
			out = append(out, place(s))
		}
		return out
	}
	c.HomeURL, c.RedirectURIs, c.PostLogoutURIs = at+"/", places(c.RedirectURIs), places(c.PostLogoutURIs)
	c.BackchannelURI = place(c.BackchannelURI)
	return c, nil
}

// Guide says what to set in the app. It has the secret in clear.
func (p Preset) Guide(id exeunt.ClientID, secret, issuer, address string) (string, error) {
	at, err := base(address)
	if err != nil {
		return "", err
	}
	fill, err := filler(id, secret, issuer, at)
	if err != nil {
		return "", err
	}
	out := p.where + ":\n\n"
	for _, line := range strings.Split(strings.Trim(fill.Replace(p.settings), "\n"), "\n") {
		out += strings.TrimRight("  "+line, " ") + "\n"
	}
	for _, note := range p.notes {
		out += "\n" + fill.Replace(note) + "\n"
	}
	if p.connector == "" {
		return out, nil
	}
	table, err := p.Connector(id, address)
	if err != nil {
		return "", err
	}
	out += "\n" + fill.Replace(p.what) + "\n\n"
	for _, line := range strings.Split(strings.TrimSuffix(table, "\n"), "\n") {
		out += "  " + line + "\n"
	}
	return out, nil
}

// filler puts the addresses and the secret into a text.
func filler(id exeunt.ClientID, secret, issuer, at string) (*strings.Replacer, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	return strings.NewReplacer("{url}", at, "{issuer}", issuer, "{issuer_host}", u.Host,
		"{issuer_in_query}", url.QueryEscape(issuer), "{url_in_query}", url.QueryEscape(at),
		"{client_id}", string(id), "{client_secret}", secret), nil
}

// Connector returns the app's connector as a table of the configuration file; "" if none is known. Its own placeholders
// are left in it.
func (p Preset) Connector(id exeunt.ClientID, address string) (string, error) {
	at, err := base(address)
	if err != nil || p.connector == "" {
		return "", err
	}
	return strings.NewReplacer("{url}", at, "{client_id}", string(id)).Replace(strings.TrimPrefix(p.connector, "\n")), nil
}
