// Package doctor looks at an installation as its people, its proxies and its database meet it, and says what is wrong
// and what to do about it.
//
// It owns what is looked at. It changes nothing but an account of its own, which it adds, signs in and out, and removes.
// It is no part of a running node.
package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/exeunt/exeunt/internal/config"
	"github.com/exeunt/exeunt/internal/control"
)

// Level says how bad a finding is.
type Level string

const (
	// OK: nothing is to be done.
	OK Level = "ok"
	// Warning: it works, but not for ever or not for everybody.
	Warning Level = "warning"
	// Fault: something that this product promises does not hold.
	Fault Level = "fault"
)

// Finding is what came of looking at one thing.
type Finding struct {
	Level  Level  `json:"level"`
	Check  string `json:"check"`
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"` // what to do, unless it is OK
}

// Options say what is looked at, and how.
type Options struct {
	Config  config.Config
	Version string // of this program
	// Roots are the certificates that browsers trust; nil: those of this machine.
	Roots *x509.CertPool
	// Dial reaches a host, as browsers would; nil: by this machine's names.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TimeServer, host or host:port, is asked by NTP; "": only this machine and the database are.
	TimeServer string
	// Free is how many bytes of the disk must be free.
	Free uint64
	// Bound is how long a session may be accepted after its sign-out was confirmed; 0: 5 s.
	Bound time.Duration
	Now   func() time.Time
	Log   *slog.Logger
	Told  func(Finding)
}

// examination is one run.
type examination struct {
	Options
	ctx    context.Context
	node   *control.Client
	status *control.Status // nil: no node answers
	url    *url.URL
	http   *http.Client
}

// patience is how long one question may take.
const patience = 20 * time.Second

// Examine looks at everything. It returns the number of findings of each level.
func Examine(ctx context.Context, opt Options) (map[Level]int, error) {
	u, err := url.Parse(opt.Config.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	opt.Bound = cmp.Or(opt.Bound, usualBound)
	levels, told := map[Level]int{}, opt.Told
	opt.Told = func(f Finding) {
		levels[f.Level]++
		told(f)
	}
	e := &examination{Options: opt, ctx: ctx, node: control.Dial(opt.Config.Data), url: u}
	e.http = &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			DialContext: opt.Dial, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{RootCAs: opt.Roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer e.http.CloseIdleConnections()
	for _, look := range []func(){e.folder, e.running, e.database, e.clock, e.certificates, e.plain, e.headers, e.signOut, e.backchannels,
		e.mail, e.owed} {
		if err := ctx.Err(); err != nil {
			return levels, err
		}
		look()
	}
	return levels, ctx.Err()
}

func (e *examination) ok(check, what string, args ...any) {
	e.Told(Finding{Level: OK, Check: check, What: fmt.Sprintf(what, args...)})
}

func (e *examination) warn(check, remedy, what string, args ...any) {
	e.Told(Finding{Level: Warning, Check: check, What: fmt.Sprintf(what, args...), Remedy: remedy})
}

func (e *examination) fault(check, remedy, what string, args ...any) {
	e.Told(Finding{Level: Fault, Check: check, What: fmt.Sprintf(what, args...), Remedy: remedy})
}

// soon is a context for one question.
func (e *examination) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.ctx, patience)
}
