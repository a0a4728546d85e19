// Command chirp serves the sample app.
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
	"syscall"
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/examples/chirp"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chirp:", err)
		os.Exit(1)
	}
}

func run() error {
	var c chirp.Config
	addr := flag.String("addr", "127.0.0.1:8081", "address to listen on")
	flag.StringVar(&c.URL, "url", "http://chirp.localhost:8081", "Chirp's own address, for browsers")
	flag.StringVar(&c.Authority, "authority", "http://exeunt.localhost:8080", "address of the session authority")
	flag.StringVar(&c.ClientID, "client", "chirp", "Chirp's client ID at the authority")
	flag.StringVar(&c.Database, "database", "chirp.db", "file of Chirp's data")
	flag.Parse()
	// Not a flag, because the list of processes shows flags.
	c.Key = client.NewSecret(os.Getenv("CHIRP_KEY"))
	if c.Key.IsZero() {
		return errors.New("CHIRP_KEY is not set: set it to the client_secret that Chirp is registered with at the authority")
	}

	app, err := chirp.New(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return errors.Join(serve(ctx, app, *addr, c.URL), app.Close())
}

func serve(ctx context.Context, app *chirp.App, addr, url string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: app, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	server.RegisterOnShutdown(app.Shutdown)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	fmt.Fprintln(os.Stderr, "Chirp is at", url)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return server.Shutdown(last)
}
