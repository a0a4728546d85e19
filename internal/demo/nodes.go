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

// another is one more node on the demo's database, at a port of its own.
type another struct {
	node *Node
	l    net.Listener
}

// openOthers opens the nodes beside the first. Browsers know only the first;
// the others answer under its name, as behind a load balancer.
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
		s.others = append(s.others, another{node, l})
	}
	return nil
}

// newMasterKey draws the key that the demo's nodes share.
func newMasterKey() string {
	var key [32]byte
	rand.Read(key[:])
	return base64.StdEncoding.EncodeToString(key[:])
}

const acrossRounds = 20

// across signs out on each of the nodes in turn and watches how long any other
// goes on accepting the session. The bound is MaxStaleness; usually it is
// milliseconds.
func (t *tour) across(ctx context.Context) (string, error) {
	var apis []*client.Client
	// A node behind a proxy that terminates TLS is reached without it.
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
		token, _, err := apis[(round+1)%len(apis)].SignIn(ctx, client.SignIn{Identifier: t.handle, Password: client.Sent(t.password), Label: "Elsewhere"})
		if err != nil {
			return "", err
		}
		for _, api := range apis {
			if _, err := api.Check(ctx, token, true); err != nil {
				return "", fmt.Errorf("a new session is not known on every node: %w", err)
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
	return fmt.Sprintf("%d times on %d nodes, known on all after %v in the middle and %v at most; the bound is %v", acrossRounds, len(apis),
		late[len(late)/2].Round(100*time.Microsecond), late[len(late)-1].Round(100*time.Microsecond), t.Staleness), nil
}
