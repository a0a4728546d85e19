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

const clientColumns = `id, settings, key_hashes`

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
	Groups             []string          `json:"groups,omitempty"`
	Checked            bool              `json:"checked,omitempty"`
	PostLogoutURIs     []string          `json:"post_logout_uris,omitempty"`
	SignOutAlone       bool              `json:"sign_out_alone,omitempty"`
	BackchannelURI     string            `json:"backchannel_uri,omitempty"`
	BackchannelAccount bool              `json:"backchannel_account,omitempty"`
	SignOutURL         string            `json:"sign_out_url,omitempty"`
}

func scanClient(row rowScanner) (c exeunt.Client, err error) {
	var settings string
	var keys []byte
	if err := row.Scan(&c.ID, &settings, &keys); err != nil {
		return c, err
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
		ID: c.ID, Keys: c.Keys, Name: v.Name, HomeURL: v.HomeURL, RedirectURIs: v.RedirectURIs, Auth: v.Auth,
		NoPKCE: v.NoPKCE, Algorithm: v.Algorithm, TokenLife: v.TokenLife, FirstParty: v.FirstParty, Groups: v.Groups,
		Checked: v.Checked, PostLogoutURIs: v.PostLogoutURIs, SignOutAlone: v.SignOutAlone,
		BackchannelURI: v.BackchannelURI, BackchannelAccount: v.BackchannelAccount, SignOutURL: v.SignOutURL,
	}, nil
}

func settingsOf(c exeunt.Client) (string, error) {
	text, err := json.Marshal(clientSettings{
		Name: c.Name, HomeURL: c.HomeURL, RedirectURIs: c.RedirectURIs, Auth: c.Auth, NoPKCE: c.NoPKCE,
		Algorithm: c.Algorithm, TokenLife: c.TokenLife, FirstParty: c.FirstParty, Groups: c.Groups, Checked: c.Checked,
		PostLogoutURIs: c.PostLogoutURIs, SignOutAlone: c.SignOutAlone, BackchannelURI: c.BackchannelURI,
		BackchannelAccount: c.BackchannelAccount, SignOutURL: c.SignOutURL,
	})
	return string(text), err
}

// Clients returns every registered client, in the order of their IDs.
func (s *Store) Clients(ctx context.Context) ([]exeunt.Client, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+clientColumns+` FROM clients ORDER BY id`)
	return collect(rows, err, "clients", scanClient)
}

// Client returns a registered client, or ErrNotFound.
func (s *Store) Client(ctx context.Context, id exeunt.ClientID) (exeunt.Client, error) {
	c, err := scanClient(s.read.QueryRowContext(ctx, `SELECT `+clientColumns+` FROM clients WHERE id = $1`, id))
	return c, notFound("client", err)
}

// PutClient registers or changes a client for an operator. The next start resets a client that is in the
// configuration file. A client that is the same already changes nothing and records no event.
func (s *Store) PutClient(ctx context.Context, c exeunt.Client, by exeunt.Actor, now time.Time) error {
	return s.commit(ctx, func(t *tx) error { return t.putClient(c, ClientFromOperator, by, now) })
}

// RemoveClient removes a client, or returns ErrNotFound. Its codes can no longer be exchanged; its app sessions live
// on.
func (s *Store) RemoveClient(ctx context.Context, id exeunt.ClientID, by exeunt.Actor, now time.Time) error {
	var there bool
	err := s.commit(ctx, func(t *tx) (err error) {
		there, err = t.removeClient(id, by, now)
		return err
	})
	if err == nil && !there {
		err = exeunt.ErrNotFound
	}
	return err
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

func (t *tx) putClient(c exeunt.Client, source ClientSource, by exeunt.Actor, now time.Time) error {
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
		VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (id) DO UPDATE SET settings = excluded.settings, key_hashes = excluded.key_hashes,
			source = excluded.source, changed = excluded.changed
		WHERE clients.settings <> excluded.settings OR clients.key_hashes <> excluded.key_hashes
			OR clients.source <> excluded.source RETURNING id`,
		c.ID, settings, keys, source, ms(now)).Scan(&id))
	if err != nil || !changed {
		return err
	}
	return t.clientChanged(c.ID, by, now)
}

func (t *tx) removeClient(id exeunt.ClientID, by exeunt.Actor, now time.Time) (there bool, err error) {
	n, err := t.exec(`DELETE FROM clients WHERE id = $1`, id)
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.clientChanged(id, by, now)
}

// clientChanged records the event from which every node learns of it.
func (t *tx) clientChanged(id exeunt.ClientID, by exeunt.Actor, now time.Time) error {
	return t.appendEvents([]exeunt.Event{{At: now, Kind: exeunt.EventClientChanged, Target: exeunt.Target{Client: id},
		By: by}})
}
