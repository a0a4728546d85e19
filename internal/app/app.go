// Package app turns a configuration into a running node: it opens the data
// folder, wires the rooms together, serves, and shuts down in order.
//
// It owns the only long import list and the only real clock. It makes no
// decision about sessions.
package app

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/certificates"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/fanout"
	"github.com/exeunt/exeunt/internal/feed"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/pages"
	"github.com/exeunt/exeunt/internal/passkey"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/places"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// Options are what a node takes besides its configuration.
type Options struct {
	Log     *slog.Logger
	Version string // of the program, for operators
	// Now is the clock; nil means Clock(). Tests have their own.
	Now func() time.Time
	// Hashing is the cost of password hashes; zero means password.DefaultHashing.
	Hashing password.Hashing
	// NewKeys makes new keys in place of those that cannot be opened.
	NewKeys bool
	// Decision is what to do about a database that was restored.
	Decision Decision
	// Plain is the listener of tls.http_listen, which Serve closes; nil without it.
	Plain net.Listener
}

// Node is an open installation. Serve it, then Close it.
type Node struct {
	Config    config.Config
	Authority *authority.Authority
	SignIn    *signin.Service
	OAuth     *oauth.Service
	Accounts  *account.Service
	Fanout    *fanout.Service
	Notify    *notify.Service
	Store     *store.Store
	Live      *live.Index

	log        *slog.Logger
	now        func() time.Time
	givenClock bool
	unlock     func() error // the data folder
	feed       *feed.Feed
	follower   *feed.Follower // nil when no other node writes the log
	mark       logMark
	browser    web.Browser
	master     keys.Master
	pairs      *keys.Ring
	notices    *keys.Ring
	forms      *keys.Ring
	tickets    *keys.Ring
	templates  *ui.UI
	webhooks   []fanout.Webhook
	places     *places.Places // nil: places are unknown
	refreshes  *keys.Ring
	requests   *keys.Ring
	receipts   *keys.Ring    // of the handles of receipts
	signers    *keys.Signers // of ID and logout tokens, and of receipts
	peers      web.Peers
	started    time.Time
	version    string

	connections      int // how many the public may have
	plainConnections int // and besides them, at tls.http_listen

	handler http.Handler

	certificates *certificates.Certificates // nil unless this node terminates TLS
	plain        net.Listener               // nil unless that sends browsers to TLS

	stopBackground context.CancelFunc
	background     sync.WaitGroup
	draining       chan struct{} // closed when shutdown begins, to end streams
	drain          sync.Once
}

// New opens the data folder, migrates the database and starts maintenance. The folder is locked until Close.
func New(ctx context.Context, c config.Config, opt Options) (*Node, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Node{Config: c, log: opt.Log, version: opt.Version, givenClock: opt.Now != nil, draining: make(chan struct{})}
	if opt.Now == nil {
		opt.Now = Clock()
	}
	if opt.Hashing == (password.Hashing{}) {
		opt.Hashing = password.DefaultHashing()
	}
	n.connections = maxConnections(c.MaxConnections)
	n.now, n.started = opt.Now, opt.Now()
	if n.plain = opt.Plain; n.plain != nil {
		n.plainConnections = max(n.connections/plainShare, 1)
		n.connections = max(n.connections-n.plainConnections, 1)
	}
	// Certificates are read before anything is created or announced.
	if c.TLS.Terminates() {
		var err error
		if n.certificates, err = n.openCertificates(); err != nil {
			return nil, err
		}
	}
	if err := n.open(ctx, opt); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context, opt Options) (err error) {
	if err := os.MkdirAll(n.Config.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if n.unlock, err = store.LockFolder(n.Config.Data); err != nil {
		return err
	}
	if n.peers.Trusted, err = n.Config.Proxies(); err != nil {
		return err
	}
	for _, p := range n.peers.Trusted {
		if p.Bits() == 0 {
			n.log.Warn("every address is a trusted proxy: anybody who reaches this node can claim any address and any "+
				"scheme; name only the proxy's address", "trusted_proxies", p)
		}
	}
	if err := n.mustNotBeLost(); err != nil {
		return err
	}
	n.mark.path, n.mark.log = filepath.Join(n.Config.Data, markFile), n.log
	if err := n.mark.mustBelongToItsLog(n.databaseURL(), opt.Decision); err != nil {
		return err
	}
	index, err := n.openStore(ctx)
	if err != nil {
		return err
	}
	if err := n.mustNotBeEmpty(ctx); err != nil {
		return err
	}
	if err := n.openKeys(ctx, opt.NewKeys); err != nil {
		return err
	}
	// What changes sessions comes only after the keys have shown that the database belongs to this installation: a
	// mistaken database URL must not shorten or end another installation's sessions.
	if err := n.openMark(ctx, opt.Decision); err != nil {
		return err
	}
	loaded, err := n.openMemory(ctx, index)
	if err != nil {
		return err
	}
	// A snapshot file that was loaded was written under this policy, so on
	// SQLite all sessions have been tightened. On PostgreSQL, other nodes may have started sessions under another
	// policy.
	if !loaded || n.follower != nil {
		if err := n.Store.Tighten(ctx, n.Config.SessionPolicy()); err != nil {
			return fmt.Errorf("apply the policy to existing sessions: %w", err)
		}
	}
	if err := n.openClients(ctx); err != nil {
		return err
	}
	cookies := web.Cookies{Pairs: n.pairs, Notices: n.notices, Forms: n.forms, Tickets: n.tickets}
	n.browser = web.Browser{Authority: n.Authority, Cookies: cookies, Now: n.now}
	hasher, err := password.New(opt.Hashing)
	if err != nil {
		return err
	}
	passkeys, err := passkey.New(n.Config.URL)
	if err != nil {
		return err
	}
	n.SignIn = signin.New(signin.Config{Store: n.Store, Hasher: hasher, Master: n.master, Passkeys: passkeys, Now: n.now,
		Log: n.log})
	if err := n.openNotify(); err != nil {
		return err
	}
	if file := n.Config.Places.File; file != "" {
		if n.places, err = places.Open(file, n.now, n.log); err != nil {
			return fmt.Errorf("places.file: %w", err)
		}
	}
	n.Accounts = account.New(account.Config{
		Store: n.Store, Authority: n.Authority, Hasher: hasher, SignUpOpen: n.Config.SignUp == config.SignUpOpen,
		Master: n.master, Passkeys: passkeys,
		Reserved: n.Config.Reserved(), Created: n.removeLinkFile, Notify: n.Notify, Place: n.places.Of,
		Now: n.now, Log: n.log,
	})
	n.Fanout = fanout.New(fanout.Config{Store: n.Store, Sign: n.signers.Sign, Open: n.master.Open, Issuer: n.Config.URL,
		Webhooks: n.webhooks, News: n.Authority.ListenAll().C(), Now: n.now, Log: n.log})
	if err := n.openSurfaces(); err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.Background())
	n.stopBackground = cancel
	n.background.Go(func() { n.Authority.Run(running) })
	n.background.Go(func() { n.OAuth.Run(running) })
	n.background.Go(func() { n.Fanout.Run(running) })
	n.background.Go(func() { n.Notify.Run(running) })
	n.background.Go(func() { n.Accounts.Run(running) })
	n.background.Go(func() { n.rotateKeys(running) })
	n.background.Go(func() { n.mark.keepSynced(running, n.Store.RaiseFileNumber) })
	n.background.Go(func() { n.saveSnapshotFileRegularly(running) })
	n.background.Go(pages.PrepareLabels) // in the background, because a start should not wait for it
	if n.follower != nil {
		n.background.Go(func() { n.follower.Run(running) })
	}
	return nil
}

// openNotify makes what sends mails. Without a mail server it sends none, and says so once.
func (n *Node) openNotify() (err error) {
	if n.templates, err = ui.New(); err != nil {
		return fmt.Errorf("templates: %w", err)
	}
	c := notify.Config{Store: n.Store, UI: n.templates, Seal: n.master.Seal, Open: n.master.Open, Sum: n.notices.Sum, Site: n.Config.URL, Now: n.now,
		Log: n.log}
	if v := n.Config.SMTP; v.Enabled() {
		u, err := url.Parse(n.Config.URL)
		if err != nil {
			return err
		}
		c.Server = &notify.Server{Host: v.Host, Port: v.PortOrUsual(), Plain: v.TLS == config.SMTPPlain,
			TLS: v.TLS == config.SMTPOverTLS, User: v.User, Password: notify.Password(v.Password),
			From: mail.Address{Name: cmp.Or(v.FromName, u.Hostname()), Address: v.From}}
	} else {
		n.log.Info("no mail server is configured, so no mails are sent, and what needs them is not offered; " +
			"set smtp.host and smtp.from to change that")
	}
	n.Notify = notify.New(c)
	return nil
}

// openCertificates reads those of files. Hosts are looked up when somebody asks for one.
func (n *Node) openCertificates() (*certificates.Certificates, error) {
	own, err := url.Parse(n.Config.URL)
	if err != nil {
		return nil, err
	}
	c := certificates.Config{
		Host: own.Hostname(), Files: certificates.Files{Cert: n.Config.TLS.Cert, Key: n.Config.TLS.Key},
		Sites:     func() map[string]exeunt.Client { return n.OAuth.Relayed() },
		SiteFiles: map[string]certificates.Files{}, Log: n.log,
	}
	for name, site := range n.Config.SiteFiles() {
		c.SiteFiles[name] = certificates.Files{Cert: site.Cert, Key: site.Key}
	}
	if directory := n.Config.TLS.Directory(); directory != "" {
		c.ACME = &certificates.ACME{Directory: directory, Email: n.Config.TLS.ACMEEmail, Roots: n.Config.TLS.ACMECA,
			Folder: filepath.Join(n.Config.Data, acmeFolder), UserAgent: "exeunt/" + cmp.Or(n.version, "unknown")}
	}
	return certificates.Open(c)
}

// acmeFolder is where in the data folder the certificates of ACME are.
const acmeFolder = "acme"

func (n *Node) databaseURL() string { return DatabaseURL(n.Config) }

// DatabaseURL is where an installation's database is.
func DatabaseURL(c config.Config) string {
	if c.Database != "" {
		return string(c.Database)
	}
	return store.SQLiteURL(filepath.Join(c.Data, store.DatabaseFile))
}

// openStore opens the store, and makes the table of sessions and the feed, which are empty.
func (n *Node) openStore(ctx context.Context) (index *live.Index, err error) {
	url := n.databaseURL()
	index = live.New(0, live.Options{Limit: n.Config.MaxTokens, SharedActivity: store.Shared(url)})
	if store.Shared(url) {
		n.follower = &feed.Follower{
			Open:      func(ctx context.Context) (feed.Source, error) { return n.Store.Follow(ctx) },
			Staleness: n.Config.MaxStaleness, Log: n.log, Accept: n.acceptLog, Confirmed: n.mark.followed,
		}
		if !n.givenClock { // which may return any time
			n.follower.Now = n.now
		}
	}
	n.feed = feed.New(authority.Memory(index), n.follower)
	n.Live = index
	for i := range n.Config.Webhooks {
		from := &n.Config.Webhooks[i]
		w := fanout.Webhook{Webhook: from.Target()}
		if w.Secrets, err = from.Secrets(); err != nil {
			return nil, err
		}
		n.webhooks = append(n.webhooks, w)
	}
	n.Store, err = store.Open(ctx, store.Options{URL: url, Committed: n.committed, Server: n.feed.Server,
		Started: fanout.Started(n.webhooks), Log: n.log})
	return index, err
}

// openMemory begins the table of sessions at the log's head, empty or with the snapshot file and the log range since,
// so a crash between a commit and its application loses nothing. It reports whether the snapshot file was loaded.
func (n *Node) openMemory(ctx context.Context, index *live.Index) (loaded bool, err error) {
	head, err := n.Store.Head(ctx)
	if err != nil {
		return false, err
	}
	n.feed.Begin(head)
	loaded = n.loadSnapshotFile(ctx, index, head)
	n.Authority = authority.New(authority.Config{
		Store: n.Store, Live: index, Feed: n.feed, Policy: n.Config.SessionPolicy(),
		Retention: store.Retention(n.Config.Retention), Secrets: n.secrets,
		Now: n.now, Log: n.log,
	})
	return loaded, nil
}

// committed tells memory what has been committed. Sessions that others replaced end in the course of another request,
// so their line is written here; for all other endings the authority writes one.
func (n *Node) committed(events []exeunt.Event) error {
	n.mark.own(events)
	err := n.feed.Own(events)
	for i := range events {
		if e := &events[i]; e.Kind == exeunt.EventEnded && e.Reason == exeunt.ReasonReplaced {
			n.log.Info("sessions ended", "account", e.Account, "scope", e.Scope, "reason", e.Reason, "by", e.By.Kind,
				"seq", e.Seq, "session", e.Session, "app", e.AppSession)
		}
	}
	return err
}

// openClients reads the registered clients, and reconciles them with those of the configuration file.
func (n *Node) openClients(ctx context.Context) error {
	clients, err := oauth.NewRegistry(ctx, n.Store, n.Authority, n.log)
	if err != nil {
		return err
	}
	n.OAuth = &oauth.Service{Registry: clients, Authority: n.Authority, Refreshes: n.refreshes, Requests: n.requests,
		Signers: n.signers, Issuer: n.Config.URL, Now: n.now}
	if err := clients.Reconcile(ctx, n.Config.RegisteredClients(), n.now()); err != nil {
		return err
	}
	connectors, err := n.connectors(ctx)
	if err != nil {
		return err
	}
	return clients.ReconcileConnectors(ctx, connectors, n.now())
}

// connectors returns those of the configuration file with their secrets sealed. One that is stored and still the same
// stays as it is sealed: what is sealed anew looks different each time, and would be a change at each start.
func (n *Node) connectors(ctx context.Context) (out []exeunt.Connector, err error) {
	stored, err := n.Store.Connectors(ctx)
	if err != nil {
		return nil, err
	}
	for i := range n.Config.Connectors {
		from := &n.Config.Connectors[i]
		c, secret := from.App(), []byte(from.Secret)
		for _, s := range stored {
			if before, err := n.master.Open(fanout.Purpose(c.Client), s.Sealed); s.Client == c.Client && err == nil &&
				bytes.Equal(before, secret) {
				c.Sealed = s.Sealed
			}
		}
		if c.Sealed == nil && len(secret) > 0 {
			if c.Sealed, err = n.master.Seal(fanout.Purpose(c.Client), secret); err != nil {
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// openKeys opens the keys, and makes them on the first start. If there are keys that cannot be opened, it makes new
// ones only with renew: a missing master key must not sign every browser out.
func (n *Node) openKeys(ctx context.Context, renew bool) error {
	sealed, err := n.Store.AnyKey(ctx)
	if err != nil {
		return err
	}
	if renew && !sealed {
		return errNotNeeded
	}
	if sealed && n.Config.MasterKey == "" && !keys.HasMaster(n.Config.Data) {
		if !renew {
			return fmt.Errorf("the master key is missing: the database holds keys sealed with it, and it was expected "+
				"in %s. Put the file back from your backup; or %s",
				filepath.Join(n.Config.Data, keys.MasterFile), howToRenew)
		}
		return n.renewKeys(ctx)
	}
	err = n.openRings(ctx)
	switch {
	case errors.Is(err, keys.ErrWrongMaster) && renew:
		return n.renewKeys(ctx)
	case errors.Is(err, keys.ErrWrongMaster):
		return fmt.Errorf("%w. Give back the original one; or %s", err, howToRenew)
	case err == nil && renew:
		return errNotNeeded
	}
	return err
}

func (n *Node) renewKeys(ctx context.Context) error {
	if err := n.Store.DropKeys(ctx); err != nil {
		return err
	}
	n.log.Warn("making new keys: every browser must sign in again")
	return n.openRings(ctx)
}

// pairKeys is the purpose of the keys that make the second half of a browser's pair of cookies.
const pairKeys = "pair"

const howToRenew = "start once with --new-keys, after which every browser must sign in again"

var errNotNeeded = errors.New(
	"--new-keys is for keys that cannot be opened, and nothing is wrong with these; start without it")

func (n *Node) openRings(ctx context.Context) error {
	master, err := n.masterKey()
	if err != nil {
		return err
	}
	n.master = master
	longest := n.Config.SessionPolicy().LongestAbsolute()
	if n.pairs, err = keys.Open(ctx, n.Store, master, pairKeys, longest, n.now()); err != nil {
		return err
	}
	if n.notices, err = keys.Open(ctx, n.Store, master, "notice", time.Hour, n.now()); err != nil {
		return err
	}
	if n.forms, err = keys.Open(ctx, n.Store, master, "form", time.Hour, n.now()); err != nil {
		return err
	}
	// A ticket may wait in a browser for as long as anything is known of its session.
	if n.tickets, err = keys.Open(ctx, n.Store, master, "ticket", longest+n.Config.Retention.Ended, n.now()); err != nil {
		return err
	}
	// Apps send ID tokens back as hints for as long as the session that they name may last.
	n.signers = keys.NewSigners(n.Store, master, "oidc", longest, n.now)
	if n.refreshes, err = keys.Open(ctx, n.Store, master, "refresh", longest, n.now()); err != nil {
		return err
	}
	if n.requests, err = keys.Open(ctx, n.Store, master, "request", time.Hour, n.now()); err != nil {
		return err
	}
	// For a year after an ending's record is gone, its page can say so.
	n.receipts, err = keys.Open(ctx, n.Store, master, "receipt", n.Config.Retention.Audit+365*24*time.Hour, n.now())
	return err
}

// secrets are for the authority. It needs them no longer than notices are valid, so the keys of notices serve for it;
// no notice reads like its texts.
func (n *Node) secrets(text string) [][sha256.Size]byte { return n.notices.Secrets(text) }

// rotateKeys makes new keys beside the old ones when these are old enough.
func (n *Node) rotateKeys(ctx context.Context) {
	t := time.NewTicker(time.Hour)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := n.signers.Rotate(ctx, n.now())
		for _, ring := range []*keys.Ring{n.pairs, n.notices, n.forms, n.tickets, n.refreshes, n.requests, n.receipts} {
			err = errors.Join(err, ring.Rotate(ctx, n.now()))
		}
		if err != nil {
			n.log.Warn("keys could not be rotated; the present ones stay valid, trying again in an hour", "err", err)
		}
	}
}

func (n *Node) masterKey() (keys.Master, error) {
	if n.Config.MasterKey != "" {
		m, err := keys.ParseMaster(string(n.Config.MasterKey))
		if err != nil {
			return m, fmt.Errorf("master_key: %w", err)
		}
		return m, nil
	}
	return keys.LoadMaster(n.Config.Data)
}

// Close saves memory and closes the database. It may be called after New has failed, and more than once.
func (n *Node) Close() error {
	n.drain.Do(func() { close(n.draining) })
	if n.certificates != nil {
		n.certificates.Close()
	}
	if n.stopBackground != nil {
		n.stopBackground()
		n.background.Wait()
		n.stopBackground = nil
	}
	var errs []error
	if n.Store != nil {
		if n.Accounts != nil && !n.Store.Failed() {
			if err := n.saveSnapshotFile(context.Background()); err != nil {
				n.log.Warn("the snapshot file was not saved; the next start will load sessions one by one", "err", err)
			}
		}
		errs = append(errs, n.Store.Close(), n.mark.close())
		n.Store = nil
	}
	if n.unlock != nil {
		errs = append(errs, n.unlock())
		n.unlock = nil
	}
	return errors.Join(errs...)
}

// Clock returns the system's clock, except that it never goes back: a session must not live longer because somebody set
// the clock. It follows the wall clock forwards; when that is set back, it follows the monotonic clock from the latest
// time it has returned.
func Clock() func() time.Time {
	start := time.Now()
	return clockOf(start, func() (time.Time, time.Duration) {
		now := time.Now() // reads both clocks
		return now, now.Sub(start)
	})
}

// clockOf is Clock with a source: the wall clock, and the monotonic time since the start.
func clockOf(start time.Time, read func() (wall time.Time, since time.Duration)) func() time.Time {
	first := start.Round(0)
	var ahead atomic.Int64 // the most that the wall clock has been ahead of the monotonic one
	return func() time.Time {
		wall, since := read()
		steady := first.Add(since)
		lead := wall.Round(0).Sub(steady)
		for {
			most := ahead.Load()
			if int64(lead) <= most {
				return steady.Add(time.Duration(most))
			}
			if ahead.CompareAndSwap(most, int64(lead)) {
				return steady.Add(lead)
			}
		}
	}
}
