package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/exeunt/exeunt"
)

// ClientSource says who registered a client.
type ClientSource string

const (
	// ClientFromFile: it is in the configuration file.
	ClientFromFile ClientSource = "file"
	// ClientFromOperator: an operator registered it on a running node.
	ClientFromOperator ClientSource = "operator"
)

const clientColumns = `id, settings, key_hashes, registration`

// clientRead is what is read of a client: its columns, and its connector, if it has one.
const clientRead = clientColumns + `, COALESCE((SELECT n.settings FROM connectors n WHERE n.client_id = clients.id), ''),
	(SELECT n.sealed FROM connectors n WHERE n.client_id = clients.id)`

// registered is the condition that a row of p belongs to its client as it is registered now.
const registered = `EXISTS (SELECT 1 FROM clients k WHERE k.id = p.client_id AND k.registration = p.registration)`

// clientSettings is what is stored of a client as JSON. The key of a setting must keep its meaning.
type clientSettings struct {
	Name               string            `json:"name"`
	HomeURL            string            `json:"home_url,omitempty"`
	RedirectURIs       []string          `json:"redirect_uris"`
	Auth               exeunt.ClientAuth `json:"auth,omitempty"`
	NoPKCE             bool              `json:"no_pkce,omitempty"`
	Algorithm          string            `json:"algorithm,omitempty"`
	TokenLife          time.Duration     `json:"token_life,omitempty"` // nanoseconds
	FirstParty         bool              `json:"first_party,omitempty"`
	DeviceGrant        bool              `json:"device_grant,omitempty"`
	Groups             []string          `json:"groups,omitempty"`
	Checked            bool              `json:"checked,omitempty"`
	PostLogoutURIs     []string          `json:"post_logout_uris,omitempty"`
	SignOutAlone       bool              `json:"sign_out_alone,omitempty"`
	BackchannelURI     string            `json:"backchannel_uri,omitempty"`
	BackchannelAccount bool              `json:"backchannel_account,omitempty"`
	SignOutURL         string            `json:"sign_out_url,omitempty"`
	RequireFactor      bool              `json:"require_factor,omitempty"`
	MayRevoke          bool              `json:"may_revoke,omitempty"`
	Site               *siteSettings     `json:"site,omitempty"`
}

// siteSettings is what is stored of a site. Service tokens are stored as hashes.
type siteSettings struct {
	Host      string              `json:"host"`
	Upstream  string              `json:"upstream,omitempty"`
	Plain     bool                `json:"plain,omitempty"`
	Idle      time.Duration       `json:"idle,omitempty"`  // nanoseconds
	Fresh     time.Duration       `json:"fresh,omitempty"` // nanoseconds
	Open      []string            `json:"open,omitempty"`
	Preflight bool                `json:"preflight,omitempty"`
	SignOut   []string            `json:"sign_out,omitempty"`
	Cookies   []exeunt.SiteCookie `json:"cookies,omitempty"`
	Tokens    []serviceToken      `json:"tokens,omitempty"`
}

type serviceToken struct {
	User string `json:"user"`
	Hash []byte `json:"hash"`
}

func siteOf(v *siteSettings) *exeunt.Site {
	if v == nil {
		return nil
	}
	out := &exeunt.Site{Host: v.Host, Upstream: v.Upstream, Plain: v.Plain, Idle: v.Idle, Fresh: v.Fresh, Open: v.Open,
		Preflight: v.Preflight, SignOut: v.SignOut, Cookies: v.Cookies}
	for _, t := range v.Tokens {
		one := exeunt.ServiceToken{User: t.User}
		copy(one.Hash[:], t.Hash)
		out.Tokens = append(out.Tokens, one)
	}
	return out
}

func settingsOfSite(s *exeunt.Site) *siteSettings {
	if s == nil {
		return nil
	}
	out := &siteSettings{Host: s.Host, Upstream: s.Upstream, Plain: s.Plain, Idle: s.Idle, Fresh: s.Fresh, Open: s.Open,
		Preflight: s.Preflight, SignOut: s.SignOut, Cookies: s.Cookies}
	for _, t := range s.Tokens {
		out.Tokens = append(out.Tokens, serviceToken{t.User, t.Hash[:]})
	}
	return out
}

func scanClient(row rowScanner) (c exeunt.Client, err error) {
	var settings, connector string
	var keys, sealed []byte
	if err := row.Scan(&c.ID, &settings, &keys, &c.Registration, &connector, &sealed); err != nil {
		return c, err
	}
	if connector != "" {
		n, err := connectorOf(c.ID, connector, sealed)
		if err != nil {
			return c, err
		}
		c.Connector = &n
	}
	if len(keys)%len(exeunt.TokenHash{}) != 0 {
		return c, errors.New("the hashes of a client's keys are 32 bytes each")
	}
	for ; len(keys) > 0; keys = keys[len(exeunt.TokenHash{}):] {
		c.Keys = append(c.Keys, exeunt.TokenHash(keys[:len(exeunt.TokenHash{})]))
	}
	var v clientSettings
	if err := json.Unmarshal([]byte(settings), &v); err != nil {
		return c, fmt.Errorf("settings of client %s: %w", c.ID, err)
	}
	return exeunt.Client{
		ID: c.ID, Registration: c.Registration, Keys: c.Keys, Name: v.Name, HomeURL: v.HomeURL, RedirectURIs: v.RedirectURIs, Auth: v.Auth,
		NoPKCE: v.NoPKCE, Algorithm: v.Algorithm, TokenLife: v.TokenLife, FirstParty: v.FirstParty, Groups: v.Groups,
		Checked: v.Checked, PostLogoutURIs: v.PostLogoutURIs, SignOutAlone: v.SignOutAlone,
		BackchannelURI: v.BackchannelURI, BackchannelAccount: v.BackchannelAccount, SignOutURL: v.SignOutURL,
		DeviceGrant: v.DeviceGrant, RequireFactor: v.RequireFactor, MayRevoke: v.MayRevoke,
		Connector: c.Connector, Site: siteOf(v.Site),
	}, nil
}

func settingsOf(c exeunt.Client) (string, error) {
	text, err := json.Marshal(clientSettings{
		Name: c.Name, HomeURL: c.HomeURL, RedirectURIs: c.RedirectURIs, Auth: c.Auth, NoPKCE: c.NoPKCE,
		Algorithm: c.Algorithm, TokenLife: c.TokenLife, FirstParty: c.FirstParty, Groups: c.Groups, Checked: c.Checked,
		PostLogoutURIs: c.PostLogoutURIs, SignOutAlone: c.SignOutAlone, BackchannelURI: c.BackchannelURI,
		BackchannelAccount: c.BackchannelAccount, SignOutURL: c.SignOutURL, DeviceGrant: c.DeviceGrant,
		RequireFactor: c.RequireFactor, MayRevoke: c.MayRevoke, Site: settingsOfSite(c.Site),
	})
	return string(text), err
}

// Clients returns every registered client, in the order of their IDs.
func (s *Store) Clients(ctx context.Context) ([]exeunt.Client, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+clientRead+` FROM clients ORDER BY id`)
	return collect(rows, err, "clients", scanClient)
}

// Client returns a registered client, or ErrNotFound.
func (s *Store) Client(ctx context.Context, id exeunt.ClientID) (exeunt.Client, error) {
	c, err := scanClient(s.read.QueryRowContext(ctx, `SELECT `+clientRead+` FROM clients WHERE id = $1`, id))
	return c, notFound("client", err)
}

// RegisteredClient is a client with who registered it, and when.
type RegisteredClient struct {
	exeunt.Client
	Source           ClientSource
	Created, Changed time.Time
}

const registeredColumns = `source, created, changed, ` + clientRead

func scanRegistered(row rowScanner) (c RegisteredClient, err error) {
	var created, changed int64
	c.Client, err = scanClient(prefixed{row, []any{&c.Source, &created, &changed}})
	c.Created, c.Changed = at(created), at(changed)
	return c, err
}

// RegisteredClients returns a page of the clients, in the order of their IDs.
func (s *Store) RegisteredClients(ctx context.Context, after exeunt.Cursor, limit int) (
	p exeunt.Page[RegisteredClient], err error) {
	limit = exeunt.PageSize(limit)
	rows, err := s.read.QueryContext(ctx,
		`SELECT `+registeredColumns+` FROM clients WHERE id > $1 ORDER BY id LIMIT $2`, string(after), limit)
	p.Items, err = collect(rows, err, "clients", scanRegistered)
	if len(p.Items) == limit {
		p.Next = exeunt.Cursor(p.Items[limit-1].ID)
	}
	return p, err
}

// CountClients returns how many clients there are.
func (s *Store) CountClients(ctx context.Context) (n int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT count(*) FROM clients`).Scan(&n)
	return n, unavailable("number of clients", err)
}

// RegisteredClient returns a registered client, or ErrNotFound.
func (s *Store) RegisteredClient(ctx context.Context, id exeunt.ClientID) (RegisteredClient, error) {
	c, err := scanRegistered(s.read.QueryRowContext(ctx,
		`SELECT `+registeredColumns+` FROM clients WHERE id = $1`, id))
	return c, notFound("client", err)
}

// maxCountedApps is up to how many app sessions of a client are counted.
const maxCountedApps = 10_000

// countOfClient counts app sessions of a client, and those of them whose session has not ended. Each session is looked
// up by itself: a server might read all of them for a join.
var countOfClient = fmt.Sprintf(`SELECT count(*), COALESCE(sum((SELECT count(*) FROM sessions s
		JOIN accounts a ON a.id = s.account_id WHERE s.account_id = p.account_id AND s.id = p.session_id
		AND s.ended_at IS NULL AND s.generation >= a.generation)), 0)
	FROM (SELECT o.account_id, o.session_id FROM clients k CROSS JOIN app_sessions o WHERE k.id = $1
		AND o.client_id = k.id AND o.registration = k.registration AND o.ended_at IS NULL LIMIT %d) AS p`, maxCountedApps)

// CountAppsOf returns how many app sessions of a client have not ended, or at least that many.
func (s *Store) CountAppsOf(ctx context.Context, id exeunt.ClientID) (n exeunt.Total, err error) {
	var seen int64
	err = s.read.QueryRowContext(ctx, countOfClient, id).Scan(&seen, &n.Count)
	n.AtLeast = seen == maxCountedApps
	return n, unavailable("number of app sessions", err)
}

// AddClient registers a client for an operator. Outcomes: nil; ErrClientSettings if it is invalid; ErrClientTaken if
// there is one of that ID; ErrUnavailable, ErrNotConfirmed.
func (s *Store) AddClient(ctx context.Context, c exeunt.Client, by exeunt.Actor, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		_, there, err := t.client(c.ID)
		switch {
		case err != nil:
			return nil, err
		case there:
			return exeunt.ErrClientTaken, nil
		}
		return t.putValid(c, by, now)
	})
}

// ChangeClient changes a client for an operator, and returns it. If change returns an error, nothing is changed. A
// client that is the same afterwards records no event. Outcomes: nil; change's error; ErrClientSettings if it would be
// invalid; ErrNotFound; ErrClientOfFile; ErrUnavailable, ErrNotConfirmed.
func (s *Store) ChangeClient(ctx context.Context, id exeunt.ClientID, by exeunt.Actor, now time.Time,
	change func(*exeunt.Client) error) (c exeunt.Client, err error) {
	err = s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		if c, refused, err = t.operators(id); refused != nil || err != nil {
			return refused, err
		}
		if refused = change(&c); refused != nil {
			return refused, nil
		}
		return t.putValid(c, by, now)
	})
	return c, err
}

// RemoveClient removes a client for an operator, and with it whatever people have in it: see removeClient. Outcomes: nil; ErrNotFound; ErrClientOfFile; ErrUnavailable, ErrNotConfirmed.
func (s *Store) RemoveClient(ctx context.Context, id exeunt.ClientID, by exeunt.Actor, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		if _, refused, err = t.operators(id); refused != nil || err != nil {
			return refused, err
		}
		_, err = t.removeClient(id, by, now)
		return nil, err
	})
}

// commitOrRefuse commits what run did, or returns why it did nothing: an error that is raised would have the other
// members of its transaction run again.
func (s *Store) commitOrRefuse(ctx context.Context, run func(*tx) (refused, err error)) error {
	var refused error
	err := s.commit(ctx, func(t *tx) (err error) {
		refused, err = run(t)
		return err
	})
	if err == nil {
		err = refused
	}
	return err
}

func (t *tx) client(id exeunt.ClientID) (c RegisteredClient, there bool, err error) {
	c, err = scanRegistered(t.row(`SELECT `+registeredColumns+` FROM clients WHERE id = $1`, id))
	there, err = found(err)
	return c, there, err
}

// operators returns a client that operators may change.
func (t *tx) operators(id exeunt.ClientID) (_ exeunt.Client, refused, err error) {
	c, there, err := t.client(id)
	switch {
	case err == nil && !there:
		refused = fmt.Errorf("client %s: %w", id, exeunt.ErrNotFound)
	case err == nil && c.Source == ClientFromFile:
		refused = exeunt.ErrClientOfFile
	}
	return c.Client, refused, err
}

// invalidClient is an ErrClientSettings whose text says what is wrong.
type invalidClient struct{ error }

func (invalidClient) Unwrap() error { return exeunt.ErrClientSettings }

func (t *tx) putValid(c exeunt.Client, by exeunt.Actor, now time.Time) (refused, err error) {
	if c.Connector, err = t.connector(c.ID); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return invalidClient{err}, nil
	}
	return nil, t.putClient(c, ClientFromOperator, by, now)
}

// ReconcileClients makes the clients from the configuration file match the file. An operator's client stays, unless
// the file has it too: then it becomes the file's. All of it is one transaction, so of several nodes that start with
// the same file only the first has something to change.
func (s *Store) ReconcileClients(ctx context.Context, file []exeunt.Client, by exeunt.Actor, now time.Time) error {
	return s.commit(ctx, func(t *tx) error {
		left, err := t.fileClients()
		if err != nil {
			return err
		}
		named := map[exeunt.ClientID]bool{}
		for _, c := range file {
			named[c.ID] = true
			if err := t.putClient(c, ClientFromFile, by, now); err != nil {
				return err
			}
		}
		for _, id := range left {
			if named[id] {
				continue
			}
			if _, err := t.removeClient(id, by, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tx) fileClients() (ids []exeunt.ClientID, err error) {
	rows, err := t.rows(`SELECT id FROM clients WHERE source = $1 ORDER BY id`, ClientFromFile)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id exeunt.ClientID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// putClient registers or changes a client. When fewer people may use it than before, the event has every node ask again
// about the app sessions that it has, and WriteEnds ends those of the others.
func (t *tx) putClient(c exeunt.Client, source ClientSource, by exeunt.Actor, now time.Time) error {
	before, there, err := t.client(c.ID)
	if err != nil {
		return err
	}
	settings, err := settingsOf(c)
	if err != nil {
		return err
	}
	keys := make([]byte, 0, len(c.Keys)*len(exeunt.TokenHash{})) // not nil, which would be NULL
	for _, h := range c.Keys {
		keys = append(keys, h[:]...)
	}
	var id exeunt.ClientID
	changed, err := found(t.row(`INSERT INTO clients (`+clientColumns+`, source, created, changed)
		VALUES ($1, $2, $3, $6, $4, $5, $5)
		ON CONFLICT (id) DO UPDATE SET settings = excluded.settings, key_hashes = excluded.key_hashes,
			source = excluded.source, changed = excluded.changed
		WHERE clients.settings <> excluded.settings OR clients.key_hashes <> excluded.key_hashes
			OR clients.source <> excluded.source RETURNING id`,
		c.ID, settings, keys, source, ms(now), t.seq+1).Scan(&id))
	switch {
	case err != nil || !changed:
		return err
	case there && c.IsNarrower(before.Client):
		return t.appsEnded(c.ID, exeunt.ReasonAdministrator, by, now)
	}
	return t.appendEvents([]exeunt.Event{{At: now, Kind: exeunt.EventClientChanged,
		Target: exeunt.Target{Client: c.ID}, By: by}})
}

// removeClient removes a client. What rows of it are left is of no use from this commit on: they belong to a registration
// that is no more, also when a client of that ID is registered again. WriteEnds cleans up later, however much that is.
func (t *tx) removeClient(id exeunt.ClientID, by exeunt.Actor, now time.Time) (there bool, err error) {
	n, err := t.exec(`DELETE FROM clients WHERE id = $1`, id)
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.appsEnded(id, exeunt.ReasonClientRemoved, by, now)
}

// appsEnded records the event from which every node learns that app sessions of a client have ended.
func (t *tx) appsEnded(id exeunt.ClientID, why exeunt.Reason, by exeunt.Actor, now time.Time) error {
	return t.appendEvents([]exeunt.Event{{At: now, Kind: exeunt.EventAppsEnded, Target: exeunt.Target{Client: id},
		Reason: why, By: by}})
}
