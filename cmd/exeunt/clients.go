package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/control"
	"github.com/exeunt/exeunt/internal/presets"
)

type clientsCommand struct {
	List         listClientsCommand  `cmd:"" help:"List the apps that are registered."`
	Show         showClientCommand   `cmd:"" help:"Show all settings of an app."`
	Add          addClientCommand    `cmd:"" help:"Register an app, and print its secret."`
	Set          setClientCommand    `cmd:"" help:"Change the named settings of an app."`
	RotateSecret rotateSecretCommand `cmd:"" help:"${client_rotate}"`
	Remove       removeClientCommand `cmd:"" help:"Remove an app."`
	NewKey       newKeyCommand       `cmd:"" help:"${client_new_key}"`
}

// clientFlags are the settings of a client that a command names.
type clientFlags struct {
	Name               *string        `help:"What people read."`
	Home               *string        `help:"${client_home}" placeholder:"URL"`
	RedirectURI        []string       `name:"redirect-uri" sep:"none" help:"${client_redirect}" placeholder:"URI"`
	Auth               string         `help:"${client_auth}" placeholder:"basic|post|none"`
	NoPKCE             *bool          `name:"no-pkce" help:"It sends no PKCE challenge."`
	Alg                *string        `help:"${client_alg}" placeholder:"ALG"`
	TokenLife          *time.Duration `help:"${client_life}" placeholder:"TIME"`
	FirstParty         *bool          `help:"It is yours: people are not asked before it learns who they are."`
	DeviceGrant        *bool          `help:"${client_device}"`
	RequireFactor      *bool          `help:"A password alone does not lead to it: whoever has no second step adds one first."`
	Group              []string       `sep:"none" help:"Who may sign in to it; without it everybody. Repeat it for more."`
	Checked            *bool          `help:"${client_checked}"`
	PostLogoutURI      []string       `name:"post-logout-uri" sep:"none" help:"${client_after}" placeholder:"URI"`
	SignOutAlone       *bool          `help:"${client_alone}"`
	BackchannelURI     *string        `name:"backchannel-uri" help:"Where it takes logout tokens." placeholder:"URI"`
	BackchannelAccount *bool          `help:"A logout token ends everything that the person has in it."`
	SignOutURL         *string        `name:"sign-out-url" help:"${client_sign_out}" placeholder:"URL"`
	MayRevoke          *bool          `help:"${client_revoke}"`
}

var clientHelp = kong.Vars{
	"client_home":     "Its front page; by default that of its first redirect address.",
	"client_redirect": "Where a sign-in may lead back to; repeat it for more.",
	"client_auth":     "How it proves who it is: basic (usual), post, or none for an app on people's devices.",
	"client_alg":      "What signs its ID and logout tokens: RS256 (usual), ES256 or EdDSA.",
	"client_life":     "How long its ID tokens, and access tokens that can be refreshed, are valid; usually 5m.",
	"client_checked":  "It asks about each request, and may follow the event log with its secret.",
	"client_after":    "Where a sign-out that it asked for may lead; repeat it for more.",
	"client_device":   "It may sign people in by a code that they type in elsewhere, for devices without a browser.",
	"client_alone":    "A sign-out that it asks for ends its own session only, if nothing else is chosen.",
	"client_sign_out": "Where people sign out of it, if it cannot be told of a sign-out.",
	"client_revoke":   "It may end every session of anybody by a request: for identity systems.",
	"client_rotate":   "Make a new secret of an app beside the old one, or with --drop-old remove the old one.",
	"client_new_key":  "Print a secret for an app of the configuration file, and the line for that file.",
	"client_id":       "Its client_id: 1 to 40 of a-z, 0-9 and -, starting with a letter. It cannot be changed later.",
	"client_preset":   "Take the settings of a well-known app: " + strings.Join(presets.Names(), ", ") + ".",
	"client_url":      "With --preset: the address at which people open the app.",
}

// settings returns what the flags name. "" clears a list.
func (f *clientFlags) settings() (s control.ClientSettings, err error) {
	list := func(given []string) *[]string {
		if given == nil {
			return nil
		}
		out := []string{}
		for _, v := range given {
			if v != "" {
				out = append(out, v)
			}
		}
		return &out
	}
	s = control.ClientSettings{
		Name: f.Name, HomeURL: f.Home, RedirectURIs: list(f.RedirectURI), NoPKCE: f.NoPKCE, Algorithm: f.Alg,
		FirstParty: f.FirstParty, Groups: list(f.Group), Checked: f.Checked, PostLogoutURIs: list(f.PostLogoutURI),
		SignOutAlone: f.SignOutAlone, BackchannelURI: f.BackchannelURI, BackchannelAccount: f.BackchannelAccount,
		SignOutURL: f.SignOutURL, DeviceGrant: f.DeviceGrant, RequireFactor: f.RequireFactor,
		MayRevoke: f.MayRevoke,
	}
	if f.TokenLife != nil {
		life := f.TokenLife.String()
		s.TokenLife = &life
	}
	if f.Auth != "" {
		method, ok := map[string]exeunt.ClientAuth{
			"basic": exeunt.ClientSecretBasic, "post": exeunt.ClientSecretPost, "none": exeunt.ClientPublic,
		}[f.Auth]
		if !ok {
			return s, fmt.Errorf("invalid --auth %q: use basic, post or none", f.Auth)
		}
		s.Auth = (*string)(&method)
	}
	return s, nil
}

// flagOf says by which flag a command gives what an error calls by its name in the configuration file.
var flagOf = strings.NewReplacer(
	"redirect_uris", "--redirect-uri", "token_life", "--token-life", "no_pkce", "--no-pkce", "home_url", "--home",
	`set its auth to "none"`, "use --auth none", `auth "none"`, "--auth none",
	`set its auth to "client_secret_basic" or "client_secret_post"`, "use --auth basic or --auth post",
	"invalid algorithm", "invalid --alg", "invalid group", "invalid --group", "invalid name", "invalid --name",
	"is checked", "has --checked")

// inFlags returns an error about a client's settings as one about the flags of a command.
func inFlags(err error) error { return errors.New(flagOf.Replace(err.Error())) }

type addClientCommand struct {
	operate
	ID string `arg:"" help:"${client_id}"`
	clientFlags
	Preset string `help:"${client_preset}" placeholder:"APP"`
	URL    string `name:"url" help:"${client_url}" placeholder:"URL"`
}

// registered is what the command prints as JSON.
type registered struct {
	control.ClientSecret
	control.ClientSettings
	OtherSide string `json:"other_side,omitempty"` // what to set in the app
}

// Run registers a client. The flags override what a preset says.
func (c *addClientCommand) Run(ctx context.Context) error {
	flags, err := c.settings()
	if err != nil {
		return err
	}
	if (c.Preset == "") != (c.URL == "") {
		return errors.New("--preset and --url go together: name the app, and the address at which people open it")
	}
	client := exeunt.Client{ID: exeunt.ClientID(c.ID)}
	var preset presets.Preset
	if c.Preset != "" {
		if preset, err = presets.Named(c.Preset); err != nil {
			return err
		}
		if client, err = preset.Client(client.ID, c.URL); err != nil {
			return err
		}
	}
	if err := flags.Apply(&client); err != nil {
		return err
	}
	out := registered{ClientSettings: control.SettingsOf(client)}
	n := control.NewClient{ID: c.ID, ClientSettings: out.ClientSettings}
	if err := c.node().Post(ctx, "/clients", n, &out.ClientSecret); err != nil {
		return inFlags(err)
	}
	if c.Preset != "" {
		if out.OtherSide, err = preset.Guide(client.ID, out.Secret, out.Issuer, c.URL); err != nil {
			return err
		}
	}
	return c.show(out, func(w io.Writer) {
		printSecret(w, out.ClientSecret)
		if out.OtherSide != "" {
			fmt.Fprintf(w, "\n%s", out.OtherSide)
		}
	})
}

// printSecret prints what an app needs. No column is aligned, so that a text below it stays as it is.
func printSecret(w io.Writer, s control.ClientSecret) {
	fmt.Fprintf(w, "issuer         %s\nclient_id      %s\n", s.Issuer, s.ID)
	if s.Secret != "" {
		fmt.Fprintf(w, "client_secret  %s\n\nThe secret is shown only now: only its hash is stored.\n", s.Secret)
	}
}

type listClientsCommand struct{ listing }

// Run lists clients.
func (c *listClientsCommand) Run(ctx context.Context) error {
	header := "CLIENT\tNAME\tKIND\tAUTH\tHOME\tFROM\tCHANGED"
	return list(ctx, &c.listing, "/clients", url.Values{}, header, func(w io.Writer, v control.RegisteredClient) {
		client, _ := clientOf(v) // the node has checked its settings
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, client.Name, v.Kind, client.AuthMethod(), client.Home(), v.Source,
			when(v.Changed))
	})
}

type showClientCommand struct {
	operate
	ID string `arg:"" help:"The client's ID."`
}

// Run shows a client.
func (c *showClientCommand) Run(ctx context.Context) error {
	var v control.RegisteredClient
	if err := c.node().Get(ctx, "/clients/"+url.PathEscape(c.ID), nil, &v); err != nil {
		return err
	}
	return c.show(v, func(w io.Writer) {
		client, _ := clientOf(v) // the node has checked its settings
		fmt.Fprintf(w, "client\t%s\nname\t%s\nkind\t%s\nhome\t%s\n", v.ID, client.Name, v.Kind, client.Home())
		each := func(what string, list []string, none string) {
			if len(list) == 0 {
				list = []string{none}
			}
			for _, v := range list {
				fmt.Fprintf(w, "%s\t%s\n", what, v)
				what = ""
			}
		}
		if s := v.Site; s != nil {
			fmt.Fprintf(w, "host\t%s\n", s.Host)
			fmt.Fprintf(w, "its requests pass through\t%s\n", choose(s.Upstream != "", "our own proxy, to "+s.Upstream,
				"another proxy, which asks about each"))
			fmt.Fprintf(w, "ends without use after\t%s\n", cmp.Or(s.Idle, "as long as the browser's session"))
			fmt.Fprintf(w, "proof may be as old as\t%s\n", cmp.Or(s.Fresh, "it is"))
			each("open without a sign-in", s.Open, "none")
			each("its own sign-out", s.SignOut, "none")
			each("programs with a token", s.Programs, "none")
		}
		each("redirect addresses", client.RedirectURIs, "none")
		each("groups", client.Groups, "everybody may sign in")
		fmt.Fprintf(w, "auth\t%s\nsecrets\t%d\n", client.AuthMethod(), v.Secrets)
		fmt.Fprintf(w, "PKCE\t%s\n", choose(client.NoPKCE, "not needed", "needed"))
		fmt.Fprintf(w, "signed by\t%s\ntokens are valid\t%s\n", client.Alg(), *v.TokenLife)
		fmt.Fprintf(w, "first party\t%s\n", choose(client.FirstParty, "yes, people are not asked", "no, people are asked"))
		fmt.Fprintf(w, "signs in by a code to type\t%s\n", choose(client.DeviceGrant, "yes", "no"))
		fmt.Fprintf(w, "requires a second step\t%s\n", choose(client.RequireFactor, "yes", "no"))
		fmt.Fprintf(w, "asks about each request\t%s\n", choose(client.Checked, "yes", "no"))
		fmt.Fprintf(w, "its sign-out ends\t%s\n", choose(client.SignOutAlone, "its own session, if nothing else is chosen",
			"the browser's session, if nothing else is chosen"))
		each("after a sign-out", client.PostLogoutURIs, "none")
		fmt.Fprintf(w, "logout tokens\t%s\n", cmp.Or(client.BackchannelURI, "none"))
		if client.BackchannelURI != "" {
			fmt.Fprintf(w, "a logout token ends\t%s\n", choose(client.BackchannelAccount, "all that the person has there",
				"one session"))
		}
		if n := v.Connector; n != nil {
			each("connector", n.Steps, "none")
			fmt.Fprintf(w, "a connector acts when\t%s\n", choose(n.On == "session", "a session ends, for the whole account",
				"every session of an account ends"))
		}
		fmt.Fprintf(w, "may end anybody's sessions\t%s\n", choose(client.MayRevoke, "yes", "no"))
		fmt.Fprintf(w, "people sign out of it at\t%s\n", cmp.Or(client.SignOutURL, "none"))
		fmt.Fprintf(w, "registered by\t%s\n", choose(v.Source == "file", "the configuration file", "an operator"))
		fmt.Fprintf(w, "registered\t%s\nchanged\t%s\n", when(v.Created), when(v.Changed))
		fmt.Fprintf(w, "app sessions\t%s\tthat have not ended\n", atLeast(*v.AppSessions, v.AppSessionsAtLeast))
	})
}

// clientOf returns a client as the node has it, without its secrets.
func clientOf(v control.RegisteredClient) (c exeunt.Client, err error) {
	c.ID = exeunt.ClientID(v.ID)
	return c, v.Apply(&c)
}

func choose(yes bool, then, otherwise string) string {
	if yes {
		return then
	}
	return otherwise
}

func atLeast(n int64, more bool) string {
	return choose(more, "at least ", "") + fmt.Sprint(n)
}

type setClientCommand struct {
	operate
	ID string `arg:"" help:"The client's ID."`
	clientFlags
}

// Help is printed below the flags.
func (c *setClientCommand) Help() string {
	return "Only what is named changes. A list is replaced by what is given, and cleared by \"\", as in --group \"\". " +
		"--no-pkce=false takes a flag back."
}

// Run changes a client.
func (c *setClientCommand) Run(ctx context.Context) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	if s == (control.ClientSettings{}) {
		return errors.New("name a setting to change, such as --name: `exeunt clients set --help` lists them")
	}
	var out control.ClientSecret
	if err := c.node().Post(ctx, "/clients/"+url.PathEscape(c.ID)+"/set", s, &out); err != nil {
		return inFlags(err)
	}
	return c.show(out, func(w io.Writer) {
		fmt.Fprintf(w, "Changed %s\n", out.ID)
		if out.Secret != "" {
			printSecret(w, out)
		}
	})
}

type rotateSecretCommand struct {
	operate
	ID      string `arg:"" help:"The client's ID."`
	DropOld bool   `help:"Make no secret, but remove the old one: once the app uses the new one."`
}

// Run makes a new secret, or removes the old one.
func (c *rotateSecretCommand) Run(ctx context.Context) error {
	var out control.ClientSecret
	path := "/clients/" + url.PathEscape(c.ID) + "/rotate-secret"
	if err := c.node().Post(ctx, path, control.Rotation{DropOld: c.DropOld}, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) {
		if c.DropOld {
			fmt.Fprintf(w, "The old secret of %s is no longer valid.\n", out.ID)
			return
		}
		printSecret(w, out)
		fmt.Fprintf(w, "The one before it is valid too. Remove it once the app uses the new one:\n\n"+
			"  exeunt clients rotate-secret %s --drop-old\n", out.ID)
	})
}

type removeClientCommand struct {
	operate
	ID string `arg:"" help:"The client's ID."`
}

// Run removes a client.
func (c *removeClientCommand) Run(ctx context.Context) error {
	var out control.ClientRemoved
	if err := c.node().Post(ctx, "/clients/"+url.PathEscape(c.ID)+"/remove", nil, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) {
		fmt.Fprintf(w, "Removed %s. Nobody can sign in to it any more.\n", out.ID)
		if out.AppSessions > 0 {
			fmt.Fprintf(w, "Its %s app sessions have ended.\n", atLeast(out.AppSessions, out.AppSessionsAtLeast))
		}
	})
}

type newKeyCommand struct{}

// Run prints a new secret, which is stored nowhere. The configuration has its hash, so
// that whoever reads that cannot pass for the app.
func (newKeyCommand) Run() error {
	key := exeunt.NewToken(exeunt.UseClient)
	fmt.Printf(`The app's secret. It is shown only now; give it to the app's server, and to nobody else:

  %s

Add this line to the app's [[clients]] in the configuration file, and restart the node:

  key_sha256 = "%s"

An app that is not in the file gets its secret from exeunt clients add. For a program that calls a site, add it to the
site's [[sites]] instead, with the name that the app is to be told:

  tokens = ["backup %[2]s"]
`, key.Reveal(), key.Hash())
	return nil
}
