package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/exeunt/exeunt/internal/app"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/presets"
)

// What terminates TLS, besides the proxies.
const (
	byACME  = "acme"
	byFiles = "files"
	byOther = "proxy"
)

type initCommand struct {
	Config string `help:"Where to write the configuration file. One that is there is never changed." default:"/etc/exeunt/exeunt.toml" env:"EXEUNT_CONFIG"`
	Data   string `help:"The data folder." default:"/var/lib/exeunt" env:"EXEUNT_DATA"`

	URL      string `name:"url" help:"Address that browsers use, like https://id.example.com. With it nothing is asked." placeholder:"URL"`
	TLS      string `name:"tls" help:"${init_tls}" placeholder:"HOW"`
	Cert     string `help:"With --tls files: the certificate chain." placeholder:"FILE"`
	Key      string `help:"With --tls files: its key." placeholder:"FILE"`
	Proxy    string `help:"Address of the proxy that terminates TLS, if it is on another machine." placeholder:"ADDRESS"`
	Addr     string `help:"Where to listen; :443, or 127.0.0.1:8443 behind a proxy." placeholder:"HOST:PORT"`
	Database string `help:"File with the URL of a PostgreSQL database; without it the database is a file in the data folder." name:"database-file" placeholder:"FILE"`
	Mail     string `help:"The mail server: smtp.example.com, or USER@HOST:PORT." placeholder:"SERVER"`
	MailKey  string `help:"File with the password of the mail server's USER." name:"mail-password-file" placeholder:"FILE"`
	MailFrom string `help:"Whom mails come from; no-reply at the host of --url." placeholder:"ADDRESS"`
	Site     string `help:"An app to protect, and where it is: wiki.example.com=http://127.0.0.1:8081." placeholder:"HOST=URL"`
	Snippet  string `help:"Write the proxy's configuration to this file, too. One that is there is never changed." placeholder:"FILE"`

	database, password string // secrets
}

var initTLS = "Who terminates TLS: acme (Exeunt itself, with certificates from Let's Encrypt), files (with yours), " +
	"or the proxy in front of it: " + strings.Join(ownProxies(), ", ") + " or " + byOther + " for another one."

// ownProxies are the proxies that can be in front of Exeunt.
func ownProxies() []string {
	return slices.DeleteFunc(presets.Proxies(), func(name string) bool { return name == "haproxy-lua" })
}

// Run writes the configuration and says what comes next.
func (c *initCommand) Run(ctx context.Context) error {
	if _, err := os.Lstat(c.Config); err == nil {
		return fmt.Errorf("%s is there already: change it with an editor, or move it away to begin anew", c.Config)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.URL == "" {
		if err := c.ask(ctx, os.Stdin, os.Stdout); err != nil {
			return err
		}
	}
	if err := c.readSecrets(); err != nil {
		return err
	}
	var err error
	if c.Data, err = filepath.Abs(c.Data); err != nil {
		return err
	}
	text, err := c.file()
	if err != nil {
		return err
	}
	conf, err := c.write(text)
	if err != nil {
		return err
	}
	link, err := app.PrepareFirstLink(conf.Data, conf.URL)
	if err != nil {
		return fmt.Errorf("the link for the first account: %w", err)
	}
	start := "exeunt serve --config " + c.Config
	if _, err := os.Stat("/run/systemd/system"); err == nil && c.Config == "/etc/exeunt/exeunt.toml" {
		start = "systemctl enable --now exeunt"
	}
	fmt.Printf("\nStart it with\n\n  %s\n", start)
	if link != "" {
		fmt.Printf("\nThen create the first account, within a day, at\n\n  %s\n\n"+
			"The link works once. Until then it is also in %s.\n", link, filepath.Join(conf.Data, "first-account-link"))
	}
	return nil
}

// ask asks five questions. An empty answer takes what stands in brackets.
func (c *initCommand) ask(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	ask := func(question, usually string, into *string) error {
		if *into != "" {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s [%s] ", question, usually)
		line, err := lines.ReadString('\n')
		if err != nil && line == "" {
			return errors.New("\nthere was no answer: answer the questions, or give --url and the other flags (see --help)")
		}
		*into = cmp.Or(strings.TrimSpace(line), usually)
		return nil
	}
	fmt.Fprintln(out, "Five questions. Enter alone takes what stands in brackets.")
	var database, site string
	for i, q := range []struct {
		text, usually string
		into          *string
	}{
		{"1. Which address do browsers use?", "https://id.example.com", &c.URL},
		{"2. Who terminates TLS? acme, files, " + strings.Join(ownProxies(), ", ") + " or proxy", "acme", &c.TLS},
		{"3. The database: file, or a file with the URL of a PostgreSQL database", "file", &database},
		{"4. The mail server: none, HOST, or USER@HOST:PORT", "none", &c.Mail},
		{"5. An app to protect: none, or HOST=URL, like wiki.example.com=http://127.0.0.1:8081", "none", &site},
	} {
		if i == 2 && c.Database != "" || i == 4 && c.Site != "" {
			continue
		}
		if err := ask(q.text, q.usually, q.into); err != nil {
			return err
		}
		if q.into == &c.TLS && c.TLS == byFiles {
			if err := errors.Join(ask("   The file of the certificate chain:", "/etc/ssl/id.pem", &c.Cert),
				ask("   The file of its key:", "/etc/ssl/id.key", &c.Key)); err != nil {
				return err
			}
		}
		if q.into == &c.Mail && strings.Contains(c.Mail, "@") {
			if err := ask("   The file with its password:", "/etc/exeunt/mail-password", &c.MailKey); err != nil {
				return err
			}
		}
	}
	if database != "file" {
		c.Database = cmp.Or(c.Database, database)
	}
	if site != "none" {
		c.Site = cmp.Or(c.Site, site)
	}
	return nil
}

// readSecrets reads the files that have secrets.
func (c *initCommand) readSecrets() (err error) {
	if c.Mail == "none" {
		c.Mail = ""
	}
	if c.database, err = givenURL("", c.Database, "--database"); err != nil {
		return err
	}
	c.password, err = givenURL("", c.MailKey, "--mail-password")
	return err
}

// file returns the configuration file.
func (c *initCommand) file() (string, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" {
		return "", fmt.Errorf("invalid address %q: use only scheme and host, like https://id.example.com", c.URL)
	}
	var out strings.Builder
	say := func(comment, format string, args ...any) {
		fmt.Fprintf(&out, "# %s\n"+format+"\n\n", append([]any{comment}, args...)...)
	}
	set := func(setting, value string) {
		say(config.Meaning(setting), "%s = %s", setting[strings.LastIndex(setting, ".")+1:], quoted(value))
	}
	out.WriteString("# Exeunt's configuration, made by `exeunt init`. A change takes effect with the next start.\n" +
		"# Each setting can be a variable, too, like EXEUNT_URL; EXEUNT_SMTP_PASSWORD_FILE names a file with a secret.\n" +
		"# `exeunt settings` prints every setting with its default.\n\n")
	set("url", c.URL)
	set("data", c.Data)
	behind := c.TLS != byACME && c.TLS != byFiles
	switch {
	case c.TLS == "":
		return "", errors.New("it is not said who terminates TLS: give --tls " + byACME + ", or one of " + byFiles + ", " +
			strings.Join(ownProxies(), ", ") + " and " + byOther)
	case behind && c.TLS != byOther && !slices.Contains(ownProxies(), c.TLS):
		return "", fmt.Errorf("invalid --tls %q: use %s, %s, %s or %s", c.TLS, byACME, byFiles, strings.Join(ownProxies(), ", "),
			byOther)
	case behind:
		set("addr", cmp.Or(c.Addr, "127.0.0.1:8443"))
		say(config.Meaning("trusted_proxies")+" Nobody else is answered.", "trusted_proxies = [%s]", c.proxyAddresses())
	default:
		set("addr", cmp.Or(c.Addr, ":443"))
	}
	say(config.Meaning("sign_up"), `sign_up = "closed"`)
	if c.database != "" {
		set("database", c.database)
		if _, inFile := os.LookupEnv("EXEUNT_MASTER_KEY_FILE"); !inFile {
			var key [32]byte
			rand.Read(key[:])
			say("Seals the other keys. All nodes on the database have the same; keep a copy of it elsewhere.", "master_key = %s",
				quoted(base64.StdEncoding.EncodeToString(key[:])))
		}
	} else {
		fmt.Fprint(&out, "# The database is a file in the data folder, and so is master.key: keep a copy of that elsewhere.\n\n")
	}
	switch c.TLS {
	case byACME:
		out.WriteString("[tls]\n")
		say("Certificates from Let's Encrypt, whose terms you accept by this. Ports 443 and 80 must be reached from outside.",
			"acme = true\nhttp_listen = %s", quoted(":80"))
	case byFiles:
		out.WriteString("[tls]\n")
		say("Files that have changed are read again by themselves.", "cert = %s\nkey = %s", quoted(c.Cert), quoted(c.Key))
	}
	if err := c.mail(&out, u.Hostname()); err != nil {
		return "", err
	}
	err = c.site(&out, behind)
	return out.String(), err
}

func (c *initCommand) proxyAddresses() string {
	if c.Proxy != "" {
		return quoted(c.Proxy)
	}
	return quoted("127.0.0.1") + ", " + quoted("::1")
}

// mail writes the settings of the mail server.
func (c *initCommand) mail(out io.Writer, host string) error {
	if c.Mail == "" {
		fmt.Fprint(out, "# Without a mail server, nothing that needs mail is offered.\n# [smtp]\n# host = \"smtp.example.com\"\n"+
			"# from = "+quoted("no-reply@"+host)+"\n\n")
		return nil
	}
	user, server := "", c.Mail
	if i := strings.LastIndex(c.Mail, "@"); i >= 0 {
		user, server = c.Mail[:i], c.Mail[i+1:]
	}
	if user != "" && c.password == "" {
		return errors.New("the mail server has a user, but there is no password: name its file with --mail-password-file")
	}
	name, port, withPort := strings.Cut(server, ":")
	fmt.Fprintf(out, "[smtp]\nhost = %s\n", quoted(name))
	if withPort {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fmt.Errorf("invalid port %q of the mail server: use a number, like 587", port)
		}
		fmt.Fprintf(out, "port = %s\n", port)
		if port == "465" {
			fmt.Fprintln(out, `tls = "tls"`)
		}
	}
	if user != "" {
		fmt.Fprintf(out, "user = %s\npassword = %s\n", quoted(user), quoted(c.password))
	}
	fmt.Fprintf(out, "# Allow the mail server to send for this domain (SPF, DKIM). `exeunt mail test ADDRESS` tries it.\nfrom = %s\n\n",
		quoted(cmp.Or(c.MailFrom, "no-reply@"+host)))
	return nil
}

// site writes the settings of the app to protect.
func (c *initCommand) site(out io.Writer, behind bool) error {
	if c.Site == "" {
		fmt.Fprint(out, "# An app on a host of its own that knows nothing of Exeunt:\n# [[sites]]\n# host = \"wiki.example.com\"\n"+
			"# upstream = \"http://127.0.0.1:8081\" # if Exeunt is its proxy\n")
		return nil
	}
	host, upstream, ok := strings.Cut(c.Site, "=")
	if !ok {
		return fmt.Errorf("invalid --site %q: use HOST=URL, like wiki.example.com=http://127.0.0.1:8081", c.Site)
	}
	fmt.Fprintf(out, "# An app of which every request is decided here. Nobody else may reach its port.\n[[sites]]\nhost = %s\n", quoted(host))
	if !behind {
		fmt.Fprintf(out, "upstream = %s\n", quoted(upstream))
	}
	return nil
}

// quoted is a text in a TOML file.
func quoted(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.WriteRune(r)
		}
	}
	return `"` + out.String() + `"`
}

// write writes the configuration file and the proxy's, if both are valid, and neither is there already. Only its owner
// can read the first if it has secrets; run by root, that is the owner of the data folder, as whom a node runs.
func (c *initCommand) write(text string) (conf config.Config, err error) {
	folder := filepath.Dir(c.Config)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return conf, err
	}
	secret := c.database != "" || c.password != ""
	mode := os.FileMode(0o640)
	if secret {
		mode = 0o600
	}
	f, err := os.CreateTemp(folder, ".exeunt-init-*.toml")
	if err != nil {
		return conf, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(mode), c.own(f, secret), f.Sync(), f.Close()); err != nil {
		return conf, err
	}
	conf, err = config.Load(config.Sources{File: f.Name(), Getenv: withoutData})
	if err != nil {
		return conf, errors.New(strings.ReplaceAll(err.Error(), f.Name(), c.Config))
	}
	snippet, err := c.proxy(conf)
	if err != nil {
		return conf, err
	}
	if snippet != "" && c.Snippet != "" {
		if err := writeNew(c.Snippet, snippet); err != nil {
			return conf, err
		}
	}
	if err := os.Link(f.Name(), c.Config); err != nil {
		return conf, err
	}
	fmt.Printf("Wrote %s.\n", c.Config)
	switch {
	case snippet == "":
	case c.Snippet != "":
		fmt.Printf("Wrote the proxy's configuration to %s.\n", c.Snippet)
	default:
		fmt.Printf("\nFor the proxy's configuration:\n\n%s", snippet)
	}
	return conf, nil
}

// writeNew writes a file that must not be there.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: name another file with --snippet", name)
	} else if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// withoutData looks up variables as a node does, but for those that the file that is written now sets.
func withoutData(name string) (string, bool) {
	if name == "EXEUNT_DATA" {
		return "", false
	}
	return os.LookupEnv(name)
}

// own gives the file to whom the data folder belongs, or lets that one's group read it.
func (c *initCommand) own(f *os.File, alone bool) error {
	if os.Getuid() != 0 {
		return nil
	}
	info, err := os.Stat(c.Data)
	if err != nil {
		return nil // it is root's, like what root makes
	}
	of, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return nil
	case alone:
		return f.Chown(int(of.Uid), int(of.Gid))
	}
	return f.Chown(-1, int(of.Gid))
}

// proxy returns the configuration of the proxy in front, "" if there is none.
func (c *initCommand) proxy(conf config.Config) (string, error) {
	if c.TLS == byACME || c.TLS == byFiles {
		return "", nil
	}
	at, err := reachedAt(conf)
	if err != nil {
		return "", err
	}
	text := ""
	if c.TLS != byOther {
		if text, err = presets.OwnConfig(c.TLS, conf.URL, at); err != nil {
			return "", err
		}
	}
	if text == "" {
		text = "# Have the proxy pass " + conf.Host() + " to " + at + ", with the Host that the browser asked for, and\n" +
			"# X-Forwarded-For and X-Forwarded-Proto set by the proxy, whatever the browser sent.\n"
	}
	host, upstream, ok := strings.Cut(c.Site, "=")
	if !ok || c.TLS == byOther {
		return text, nil
	}
	site, found := conf.Site(host)
	if !found {
		return "", fmt.Errorf("invalid --site %q: use HOST=URL, like wiki.example.com=http://127.0.0.1:8081", c.Site)
	}
	app, err := presets.ProxyConfig(c.TLS, at, []presets.Proxied{{Site: site, App: upstream}})
	return text + "\n" + app, err
}

type settingsCommand struct{}

// Run prints every setting.
func (settingsCommand) Run() error {
	_, err := os.Stdout.WriteString(config.Reference())
	return err
}
