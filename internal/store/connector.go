package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
)

// connectorSettings is what is stored of a connector as JSON. The key of a setting must keep its meaning.
type connectorSettings struct {
	OnSession bool            `json:"on_session,omitempty"`
	Headers   []string        `json:"headers,omitempty"`
	Steps     []connectorStep `json:"steps"`
}

// connectorStep has the fields of exeunt.Step, so that one can be converted to the other.
type connectorStep struct {
	Method  string   `json:"method,omitempty"`
	URL     string   `json:"url"`
	Headers []string `json:"headers,omitempty"`
	Body    string   `json:"body,omitempty"`
	Success []int    `json:"success,omitempty"`
	Find    string   `json:"find,omitempty"`
	List    string   `json:"list,omitempty"`
	Where   string   `json:"where,omitempty"`
	Equals  string   `json:"equals,omitempty"`
}

func connectorOf(id exeunt.ClientID, settings string, sealed []byte) (exeunt.Connector, error) {
	var v connectorSettings
	if err := json.Unmarshal([]byte(settings), &v); err != nil {
		return exeunt.Connector{}, fmt.Errorf("connector of client %s: %w", id, err)
	}
	c := exeunt.Connector{Client: id, OnSession: v.OnSession, Headers: v.Headers, Sealed: sealed}
	for _, s := range v.Steps {
		c.Steps = append(c.Steps, exeunt.Step(s))
	}
	return c, nil
}

func settingsOfConnector(c *exeunt.Connector) (string, error) {
	v := connectorSettings{OnSession: c.OnSession, Headers: c.Headers}
	for _, s := range c.Steps {
		v.Steps = append(v.Steps, connectorStep(s))
	}
	text, err := json.Marshal(v)
	return string(text), err
}

const connectorColumns = `client_id, settings, sealed`

func scanConnector(r rowScanner) (c exeunt.Connector, err error) {
	var id exeunt.ClientID
	var settings string
	var sealed []byte
	if err := r.Scan(&id, &settings, &sealed); err != nil {
		return c, err
	}
	return connectorOf(id, settings, sealed)
}

// Connectors returns all connectors, in the order of their clients, also those of clients that are not registered.
func (s *Store) Connectors(ctx context.Context) ([]exeunt.Connector, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+connectorColumns+` FROM connectors ORDER BY client_id`)
	return collect(rows, err, "connectors", scanConnector)
}

func (t *tx) connector(id exeunt.ClientID) (*exeunt.Connector, error) {
	c, err := scanConnector(t.row(`SELECT `+connectorColumns+` FROM connectors WHERE client_id = $1`, id))
	there, err := found(err)
	if err != nil || !there {
		return nil, err
	}
	return &c, nil
}

// ReconcileConnectors makes the connectors match the configuration file, in one transaction. ErrClientSettings if one is
// for a client that is told of endings already: then nothing is changed. It returns the clients that are not registered;
// their connectors act once they are.
func (s *Store) ReconcileConnectors(
	ctx context.Context, file []exeunt.Connector, by exeunt.Actor, now time.Time,
) (unknown []exeunt.ClientID, err error) {
	left := map[exeunt.ClientID]exeunt.Connector{}
	err = s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		unknown = nil
		for i := range file {
			client, there, err := t.client(file[i].Client)
			switch {
			case err != nil:
				return nil, err
			case !there:
				unknown = append(unknown, file[i].Client)
			default:
				client.Connector = &file[i]
				if err := client.Validate(); err != nil {
					return invalidClient{err}, nil
				}
			}
		}
		if err := t.connectors(left); err != nil {
			return nil, err
		}
		for i := range file {
			c := &file[i]
			if err := t.putConnector(c, left[c.Client], by, now); err != nil {
				return nil, err
			}
			delete(left, c.Client)
		}
		for _, id := range slices.Sorted(maps.Keys(left)) {
			if _, err := t.exec(`DELETE FROM connectors WHERE client_id = $1`, id); err != nil {
				return nil, err
			}
			if err := t.connectorChanged(id, by, now); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	return unknown, err
}

func (t *tx) connectors(into map[exeunt.ClientID]exeunt.Connector) error {
	clear(into)
	rows, err := t.rows(`SELECT ` + connectorColumns + ` FROM connectors ORDER BY client_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanConnector(rows)
		if err != nil {
			return err
		}
		into[c.Client] = c
	}
	return rows.Err()
}

func (t *tx) putConnector(c *exeunt.Connector, before exeunt.Connector, by exeunt.Actor, now time.Time) error {
	settings, err := settingsOfConnector(c)
	if err != nil {
		return err
	}
	old, err := settingsOfConnector(&before)
	if err != nil || settings == old && bytes.Equal(c.Sealed, before.Sealed) {
		return err
	}
	if _, err := t.exec(`INSERT INTO connectors (`+connectorColumns+`) VALUES ($1, $2, $3)
		ON CONFLICT (client_id) DO UPDATE SET settings = excluded.settings, sealed = excluded.sealed`,
		c.Client, settings, c.Sealed); err != nil {
		return err
	}
	return t.connectorChanged(c.Client, by, now)
}

// connectorChanged has every node read the client again.
func (t *tx) connectorChanged(id exeunt.ClientID, by exeunt.Actor, now time.Time) error {
	return t.appendEvents([]exeunt.Event{{At: now, Kind: exeunt.EventClientChanged, Target: exeunt.Target{Client: id},
		By: by}})
}
