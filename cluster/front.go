package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/examples/chirp"
)

// front is a load balancer with a certificate, and the nodes behind it.
type front struct {
	dir, program string // exeunt's
	exeunt       string // address, as browsers have it
	chirp        string
	nodes        []string // host:port
	key          exeunt.Token
}

const host = "exeunt.localhost"

// certify makes a certificate and lets this process trust it.
func (f *front) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	both := append(chain[:len(chain):len(chain)], pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	trusted := filepath.Join(f.dir, "trusted.pem")
	return errors.Join(
		os.WriteFile(filepath.Join(f.dir, "balancer.pem"), both, 0o600),
		os.WriteFile(trusted, chain, 0o600),
		os.Setenv("SSL_CERT_FILE", trusted), // read when the first certificate is judged
	)
}

// startNodes starts a node at each port, all on one database and with one master key.
func (f *front) startNodes(database string, ports []int) error {
	var master [32]byte
	rand.Read(master[:])
	secrets := map[string]string{"master.key": base64.StdEncoding.EncodeToString(master[:]), "database.url": database}
	for name, text := range secrets {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	env := []string{"EXEUNT_MASTER_KEY_FILE=" + filepath.Join(f.dir, "master.key"), "EXEUNT_DATABASE_FILE=" + filepath.Join(f.dir, "database.url")}
	for i, port := range ports {
		name := "node" + strconv.Itoa(i+1)
		file := filepath.Join(f.dir, name+".toml")
		text := fmt.Sprintf(`addr = %q
url = %q
data = %q
sign_up = "open"
trusted_proxies = ["127.0.0.1"]
log.level = "warn"

[[clients]]
id = "chirp"
name = "Chirp"
home_url = %q
redirect_uris = [%q]
key_sha256 = %q
checked = true
first_party = true
`, at(port), f.exeunt, filepath.Join(f.dir, name), f.chirp, f.chirp+"/exeunt/callback", f.key.Hash().String())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		p, err := start(f.dir, name, env, f.program, "serve", "--config", file)
		if err != nil {
			return err
		}
		if err := p.await(30*time.Second, func() error { return answers("http://" + at(port) + "/readyz") }); err != nil {
			return err
		}
		f.nodes = append(f.nodes, at(port))
	}
	return nil
}

// startBalancer puts a load balancer in front of the nodes.
func (f *front) startBalancer(port int) error {
	text := `global
    maxconn 1000
defaults
    mode http
    timeout connect 2s
    timeout client 70s
    timeout server 70s
    option forwardfor
    option redispatch
frontend exeunt
    bind ` + at(port) + ` ssl crt ` + filepath.Join(f.dir, "balancer.pem") + ` alpn h2,http/1.1
    default_backend nodes
backend nodes
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 500ms fall 2 rise 1
`
	for i, node := range f.nodes {
		text += fmt.Sprintf("    server node%d %s\n", i+1, node)
	}
	file := filepath.Join(f.dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	p, err := start(f.dir, "haproxy", nil, "haproxy", "-db", "-f", file)
	if err != nil {
		return err
	}
	c := http.Client{Timeout: 2 * time.Second, Transport: client.NewTransport()}
	defer c.CloseIdleConnections()
	return p.await(20*time.Second, func() error {
		resp, err := c.Get(f.exeunt + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// serveChirp serves the sample app, which signs in through the load balancer.
func (f *front) serveChirp(port int) (end func(), err error) {
	out, err := os.OpenFile(filepath.Join(f.dir, "chirp.log"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	app, err := chirp.New(chirp.Config{
		Authority: f.exeunt, URL: f.chirp, Key: client.NewSecret(f.key.Reveal()), Database: filepath.Join(f.dir, "chirp.db"),
		Log: slog.New(slog.NewTextHandler(out, nil)),
	})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", at(port))
	if err != nil {
		return nil, errors.Join(err, app.Close())
	}
	server := &http.Server{Handler: app, ReadHeaderTimeout: 10 * time.Second}
	server.RegisterOnShutdown(app.Shutdown)
	go func() { _ = server.Serve(l) }()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // of a program that ends
		_ = app.Close()
		_ = out.Close()
	}, nil
}

// balanced returns the API of the load balancer.
func (f *front) balanced() (*client.Client, error) { return client.New(f.exeunt, client.Options{}) }

// direct returns the API of each node, without the load balancer and its TLS.
func (f *front) direct() (apis []*client.Client, err error) {
	for _, node := range f.nodes {
		transport := client.NewTransport()
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, node)
		}
		api, err := client.New(strings.Replace(f.exeunt, "https://", "http://", 1), client.Options{Transport: transport})
		if err != nil {
			return nil, err
		}
		apis = append(apis, api)
	}
	return apis, nil
}
