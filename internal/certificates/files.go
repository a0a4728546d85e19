package certificates

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Files are those of a certificate chain and its key.
type Files struct{ Cert, Key string }

// pair is what two files hold. They are read again when they have changed, since certificates are renewed every few weeks
// and a restart must not be needed for that.
type pair struct {
	files Files
	log   *slog.Logger

	mu      sync.Mutex
	now     *tls.Certificate
	of      [2]time.Time // when the files of the pair were written
	refused [2]time.Time // the same of files that could not be used
	looked  time.Time
}

// lookEvery is how often the files are looked at, by handshakes.
const lookEvery = 10 * time.Second

func openPair(files Files, log *slog.Logger) (*pair, error) {
	p := &pair{files: files, log: log}
	of := p.written() // before they are read, so that a later change is noticed
	now, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	p.now, p.of = &now, of
	return p, nil
}

func (p *pair) written() (at [2]time.Time) {
	for i, name := range []string{p.files.Cert, p.files.Key} {
		if info, err := os.Stat(name); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

// get returns the pair for a handshake. If the new files cannot be used, as while only one of the two has been written, the
// old pair stays.
func (p *pair) get() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) < lookEvery {
		return p.now
	}
	p.looked = time.Now()
	at := p.written()
	if at == p.of || at == p.refused {
		return p.now
	}
	renewed, err := tls.LoadX509KeyPair(p.files.Cert, p.files.Key)
	if err != nil {
		p.refused = at
		p.log.Warn("the new certificate cannot be used; the old one stays until the files are right", "file", p.files.Cert, "err", err)
		return p.now
	}
	p.now, p.of = &renewed, at
	p.log.Info("the certificate was read again", "file", p.files.Cert)
	return p.now
}
