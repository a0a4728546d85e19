package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// servers are PostgreSQL servers run by Patroni, each as on a machine of its own, and the
// etcd in which they agree on the primary.
type servers struct {
	asynchronous bool
	password     string
	etcd         int // port
	members      []*member
}

// member is a machine with one server and its Patroni.
type member struct {
	name       string
	port, rest int
	dir        string // of everything it has
	patroni    *process
}

// lifetime is how long Patroni's lease in etcd on being the primary is valid, which is
// the greater part of an outage. Newer Patronis accept nothing shorter.
const lifetime = 20 * time.Second

func startEtcd(dir string, port, peer int) error {
	me, peerURL := "http://"+at(port), "http://"+at(peer)
	p, err := start(dir, "etcd", nil, "etcd", "--name", "etcd1", "--data-dir", filepath.Join(dir, "etcd"),
		"--listen-client-urls", me, "--advertise-client-urls", me,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "etcd1="+peerURL)
	if err != nil {
		return err
	}
	return p.await(20*time.Second, func() error { return answers(me + "/health") })
}

// answers asks for an address and wants 200.
func answers(address string) error {
	c := http.Client{Timeout: 2 * time.Second}
	resp, err := c.Get(address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, resp.Status)
	}
	return nil
}

// configuration is a member's, in YAML, of which JSON is a part.
func (s *servers) configuration(m *member, bin string) ([]byte, error) {
	type object = map[string]any
	login := func(name string) object { return object{"username": name, "password": s.password} }
	return json.MarshalIndent(object{
		"scope": "exeunt", "name": m.name,
		"restapi": object{"listen": at(m.rest), "connect_address": at(m.rest)},
		"etcd3":   object{"hosts": []string{at(s.etcd)}},
		"bootstrap": object{
			"dcs": object{
				"ttl": lifetime / time.Second, "loop_wait": 2, "retry_timeout": 5,
				"synchronous_mode": !s.asynchronous, "synchronous_mode_strict": !s.asynchronous,
				"postgresql": object{"use_pg_rewind": true, "parameters": object{
					"synchronous_commit": "on", "fsync": "on", "max_connections": 100, "shared_buffers": "64MB",
					"wal_sender_timeout": "10s", "wal_receiver_timeout": "10s", "wal_retrieve_retry_interval": "500ms",
				}},
			},
			"initdb": []any{object{"encoding": "UTF8"}, object{"locale": "C.UTF-8"}, "data-checksums"},
		},
		"postgresql": object{
			"listen": at(m.port), "connect_address": at(m.port), "data_dir": m.data(), "bin_dir": bin,
			"pgpass":         filepath.Join(m.dir, "pgpass"),
			"authentication": object{"superuser": login("postgres"), "replication": login("replicator"), "rewind": login("rewind")},
			"parameters":     object{"unix_socket_directories": ""},
			"pg_hba":         []string{"host all all 127.0.0.1/32 scram-sha-256", "host replication replicator 127.0.0.1/32 scram-sha-256"},
		},
	}, "", "  ")
}

func (m *member) data() string { return filepath.Join(m.dir, "data") }

// start starts a member's Patroni, which makes or starts its server.
func (s *servers) start(m *member) (err error) {
	bin, err := serverPrograms()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	text, err := s.configuration(m, bin)
	if err != nil {
		return err
	}
	file := filepath.Join(m.dir, "patroni.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	m.patroni, err = start(m.dir, "patroni", nil, "patroni", file)
	return err
}

// serverPrograms is the folder of the newest installed server's programs.
func serverPrograms() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed: script/cluster installs Debian's")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// ask asks Patroni's own address of the member, as a load balancer does.
func (m *member) ask(path string) error { return answers("http://" + at(m.rest) + path) }

// primary is the member that Patroni calls the primary, one that is lost apart.
func (s *servers) primary(lost ...*member) (*member, error) {
	for _, m := range s.members {
		if !slices.Contains(lost, m) && m.ask("/primary") == nil {
			return m, nil
		}
	}
	return nil, errors.New("there is no primary")
}

// whole waits until there is a primary that every other member follows, one of
// them synchronously, unless that is not wanted.
func (s *servers) whole(ctx context.Context, limit time.Duration) (primary *member, err error) {
	err = await(limit, func() error {
		if ctx.Err() != nil {
			return final{ctx.Err()}
		}
		if primary, err = s.primary(); err != nil {
			return err
		}
		c, err := s.connect(ctx, primary)
		if err != nil {
			return err
		}
		defer c.Close(ctx)
		var following, synchronous int
		if err := c.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) FROM pg_stat_replication WHERE state = 'streaming'`).Scan(&following, &synchronous); err != nil {
			return err
		}
		if following < len(s.members)-1 || synchronous == 0 && !s.asynchronous {
			return fmt.Errorf("%d servers follow the primary, %d synchronously", following, synchronous)
		}
		return nil
	})
	return primary, err
}

// connect connects to a member as its superuser.
func (s *servers) connect(ctx context.Context, m *member) (*pgx.Conn, error) {
	return s.connectTo(ctx, m, "postgres")
}

func (s *servers) connectTo(ctx context.Context, m *member, database string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return pgx.Connect(ctx, s.url("postgres", database, m))
}

// url is a database's on members. A machine that is lost may not even refuse a
// connection; connect_timeout is how long a node waits before it asks the next.
func (s *servers) url(user, database string, members ...*member) string {
	var hosts []string
	for _, m := range members {
		hosts = append(hosts, at(m.port))
	}
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(user, s.password), Host: strings.Join(hosts, ","), Path: "/" + database, RawQuery: "connect_timeout=1"}).String()
}

// createDatabase makes the nodes' role and database.
func (s *servers) createDatabase(ctx context.Context, primary *member) error {
	c, err := s.connect(ctx, primary)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, q := range []string{`CREATE ROLE exeunt LOGIN PASSWORD '` + s.password + `'`, `CREATE DATABASE exeunt OWNER exeunt`} {
		if _, err := c.Exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// pids are all processes of a member, as far as they run.
func (m *member) pids() []int {
	pids := append([]int{m.patroni.cmd.Process.Pid}, descendants(m.patroni.cmd.Process.Pid)...)
	if b, err := os.ReadFile(filepath.Join(m.data(), "postmaster.pid")); err == nil {
		first, _, _ := strings.Cut(string(b), "\n")
		if pid, err := strconv.Atoi(strings.TrimSpace(first)); err == nil && slices.Contains(descendants(os.Getpid()), pid) {
			pids = append(append(pids, pid), descendants(pid)...)
		}
	}
	return pids
}

// lose stops a machine: it dies, or falls silent with its connections open and a server
// that still acts as the primary when it wakes up. The function that it returns restarts
// the machine.
func (s *servers) lose(m *member, silent bool) (back func() error, err error) {
	pids := m.pids()
	if silent {
		signal(syscall.SIGSTOP, pids...)
		return func() error { signal(syscall.SIGCONT, pids...); return nil }, nil
	}
	signal(syscall.SIGKILL, pids...)
	return func() error { return s.start(m) }, gone(pids...)
}

// holdUp stops the standbys' receivers. The function that it returns restarts them
// without what has arrived meanwhile, as after a broken network: what a lost primary sent
// last never reaches a standby.
func (s *servers) holdUp(ctx context.Context, primary *member) (loseIt func(), err error) {
	var pids []int
	for _, m := range s.members {
		if m == primary {
			continue
		}
		c, err := s.connect(ctx, m)
		if err != nil {
			return nil, err
		}
		var pid int
		err = c.QueryRow(ctx, `SELECT pid FROM pg_stat_wal_receiver`).Scan(&pid)
		if err := errors.Join(err, c.Close(ctx)); err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	signal(syscall.SIGSTOP, pids...)
	return func() {
		signal(syscall.SIGTERM, pids...) // taken before anything is read
		signal(syscall.SIGCONT, pids...)
	}, nil
}

// stop ends all servers, at once but so that they clear up their shared memory.
func (s *servers) stop() {
	for _, m := range s.members {
		if m.patroni == nil {
			continue
		}
		pids := m.pids()
		signal(syscall.SIGKILL, m.patroni.cmd.Process.Pid)
		signal(syscall.SIGQUIT, pids[1:]...)
		signal(syscall.SIGCONT, pids...)
	}
}
