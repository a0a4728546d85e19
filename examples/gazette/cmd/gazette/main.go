// Command gazette serves the sample newspaper.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/exeunt/exeunt/examples/gazette"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gazette:", err)
		os.Exit(1)
	}
}

func run() error {
	c := gazette.Config{HTTP: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial}}}
	addr := flag.String("addr", "127.0.0.1:8082", "address to listen on")
	flag.StringVar(&c.URL, "url", "http://gazette.localhost:8082", "Gazette's own address, for browsers")
	flag.StringVar(&c.Issuer, "issuer", "http://exeunt.localhost:8080", "issuer of the authority, which is its address")
	flag.StringVar(&c.ClientID, "client", "gazette", "Gazette's client ID at the authority")
	flag.Parse()
	// Not a flag, because the list of processes shows flags.
	if c.Secret = os.Getenv("GAZETTE_SECRET"); c.Secret == "" {
		return errors.New("GAZETTE_SECRET is not set: set it to the client_secret that Gazette is registered with")
	}
	server := &http.Server{Addr: *addr, Handler: gazette.New(c), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	fmt.Fprintln(os.Stderr, "Gazette is at", c.URL)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return server.Shutdown(last)
}

// dial connects names below localhost to this machine, as browsers do and Go does not (RFC 6761 section 6.3).
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}
