package demo

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/config"
)

// extraNode is another node on the demo's database, at a port of its own.
type extraNode struct {
	node *Node
	l    net.Listener
}

// openOthers opens the nodes after the first. Browsers use only the first; the others
// answer under its name, as behind a load balancer.
func (s *Stage) openOthers(ctx context.Context) error {
	for i := 2; i <= s.opt.Nodes; i++ {
		l, err := config.Listen("127.0.0.1:0", "")
		if err != nil {
			return err
		}
		c := s.config()
		c.Addr, c.Data = l.Addr().String(), filepath.Join(s.opt.Data, "node"+strconv.Itoa(i))
		node, err := s.opt.Open(ctx, c, s.opt.NodeOptions)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		s.others = append(s.others, extraNode{node, l})
	}
	return nil
}

// newMasterKey returns a random key, which the demo's nodes share.
func newMasterKey() string {
	var key [32]byte
	rand.Read(key[:])
	return base64.StdEncoding.EncodeToString(key[:])
}

const acrossRounds = 20

// across signs out on each node in turn, and measures how long any other node accepts
// the session. The bound is MaxStaleness; usually it takes milliseconds.
func (t *tour) across(ctx context.Context) (string, error) {
	var apis []*client.Client
	// Without TLS, which a proxy in front of the nodes terminates.
	plain := strings.Replace(t.Exeunt, "https://", "http://", 1)
	for _, addr := range t.Nodes {
		c, err := client.New(plain, client.Options{Transport: &http.Transport{
			MaxIdleConnsPerHost: 4,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			},
		}})
		if err != nil {
			return "", err
		}
		apis = append(apis, c)
	}
	var late []time.Duration
	for round := range acrossRounds {
		ender := apis[round%len(apis)]
		token, _, err := apis[(round+1)%len(apis)].SignIn(ctx, t.as("Elsewhere"))
		if err != nil {
			return "", err
		}
		for _, api := range apis {
			if _, err := api.Check(ctx, token, true); err != nil {
				return "", fmt.Errorf("not every node accepts a new session: %w", err)
			}
		}
		if err := ender.End(ctx, token); err != nil {
			return "", err
		}
		answered := time.Now()
		if _, err := ender.Check(ctx, token, false); !errors.Is(err, client.ErrSignedOut) {
			return "", fmt.Errorf("the node that signed out accepts the session: %v", err)
		}
		for _, api := range apis {
			for {
				_, err := api.Check(ctx, token, false)
				if errors.Is(err, client.ErrSignedOut) {
					break
				}
				if took := time.Since(answered); took > t.Staleness {
					return "", fmt.Errorf("another node still answered after %v: %v", took, err)
				}
			}
		}
		late = append(late, time.Since(answered))
	}
	slices.Sort(late)
	median, most := late[len(late)/2].Round(100*time.Microsecond), late[len(late)-1].Round(100*time.Microsecond)
	return fmt.Sprintf("%d times on %d nodes, refused on all after %v (median) and %v (maximum); the bound is %v",
		acrossRounds, len(apis), median, most, t.Staleness), nil
}
