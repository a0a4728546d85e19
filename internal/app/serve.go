package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/control"
	"github.com/exeunt/exeunt/internal/oidc"
	"github.com/exeunt/exeunt/internal/web"
)

// Limits of a connection. Streams replace the limits of a request by a deadline for each event.
const (
	headerLimit  = 10 * time.Second
	requestLimit = 30 * time.Second // headers and body
	// answerLimit runs from the end of the headers, or over HTTP/2 from the request's start. It leaves time for a slow
	// upload and for the longest wait of an ending. Without it, a client that reads nothing would hold its handler
	// forever.
	answerLimit   = time.Minute
	idleLimit     = 2 * time.Minute
	maxHeader     = web.MaxHeader * 3 / 2 // beyond it the server itself answers, without a page
	shutdownLimit = 20 * time.Second
)

// Logger returns a logger as configured.
func Logger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // validated; otherwise info
	opt := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

// Serve serves on a listener, which it closes, at tls.http_listen, and on the operators' control socket, until ctx is done or the database
// can no longer be relied on.
func (n *Node) Serve(ctx context.Context, l net.Listener) error {
	defer l.Close()
	if n.plain != nil {
		if n.certificates == nil {
			return errors.New("a listener without TLS is for nodes that terminate TLS")
		}
		defer n.plain.Close()
	}
	socket, err := control.Listen(n.Config.Data)
	if err != nil {
		return err
	}
	operators, public := Server(n.controlHandler(), n.log, slog.LevelWarn), Server(n.Handler(), n.log, slog.LevelDebug)
	operators.ConnContext = control.Peer
	if n.certificates != nil {
		public.TLSConfig = n.certificates.TLS()
	}
	all := &complaints{log: n.log}
	limited := newConnections(l, n.connections, n.peers.Trusts, all)
	limited.serve(public)
	servers, failed := []*http.Server{public, operators}, make(chan error, 3)
	go func() { failed <- operators.Serve(newConnections(socket, 0, n.peers.Trusts, all)) }()
	if n.plain != nil {
		plain := Server(n.plainHandler(), n.log, slog.LevelDebug)
		plain.SetKeepAlivesEnabled(false)
		few := newConnections(n.plain, n.plainConnections, n.peers.Trusts, all)
		few.serve(plain)
		servers = append(servers, plain)
		go func() { failed <- plain.Serve(few) }()
	}
	go func() {
		if public.TLSConfig != nil {
			failed <- public.ServeTLS(limited, "", "")
			return
		}
		failed <- public.Serve(limited)
	}()
	if n.certificates != nil {
		keeping, stop := context.WithCancel(ctx)
		kept := make(chan struct{})
		go func() { n.certificates.Keep(keeping); close(kept) }()
		defer func() { stop(); <-kept }()
	}
	n.log.Info("ready", "address", n.Config.URL, "listening", l.Addr().String())
	select {
	case <-ctx.Done():
		n.log.Info("stopping: finishing what has begun")
		err = nil
	case err = <-failed:
	case err = <-n.Store.Fatal():
		err = fmt.Errorf("%w; start again to find out what was recorded", err)
	}
	return errors.Join(err, n.shutdown(servers...))
}

// Server returns a server with the limits of a connection. It logs connections' errors at the given level.
func Server(h http.Handler, log *slog.Logger, level slog.Level) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerLimit, ReadTimeout: requestLimit, WriteTimeout: answerLimit,
		IdleTimeout: idleLimit, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), level),
	}
}

// shutdown lets requests finish. Streams would never finish, so it ends them first.
func (n *Node) shutdown(servers ...*http.Server) error {
	n.drain.Do(func() { close(n.draining) })
	limit, cancel := context.WithTimeout(context.Background(), shutdownLimit)
	defer cancel()
	var errs []error
	for _, s := range servers {
		if err := s.Shutdown(limit); err != nil {
			errs = append(errs, err, s.Close())
		}
	}
	return errors.Join(errs...)
}

func (n *Node) inviteLink(t exeunt.Token) string { return n.Config.URL + linkPath + t.Reveal() }
func (n *Node) resetLink(t exeunt.Token) string  { return n.Config.URL + "/reset/" + t.Reveal() }

// ForLibraries is what slog's default logger should be where a node runs: libraries write to it.
func ForLibraries(log *slog.Logger) *slog.Logger { return slog.New(oidc.WithoutLibrary(log.Handler())) }
