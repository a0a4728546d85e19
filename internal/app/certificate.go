package app

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is the pair of files with which this node terminates TLS. It is read again
// when a file has changed, since certificates are renewed every few weeks and a restart
// must not be needed for that.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	of      [2]time.Time // when the files of the pair were written
	refused [2]time.Time // the same of files that could not be used
	looked  time.Time
}

// lookEvery is how often the files are looked at, by handshakes.
const lookEvery = 10 * time.Second

func newCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, log: log}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("tls.cert and tls.key: %w", err)
	}
	c.pair, c.of = &pair, c.written()
	return c, nil
}

func (c *certificate) written() (at [2]time.Time) {
	for i, name := range []string{c.cert, c.key} {
		if info, err := os.Stat(name); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

// get returns the pair for a handshake. If the new files cannot be used, as while only one
// of the two has been written, the old pair stays.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookEvery {
		return c.pair, nil
	}
	c.looked = time.Now()
	at := c.written()
	if at == c.of || at == c.refused {
		return c.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		c.refused = at
		c.log.Warn("the new certificate cannot be used; the old one stays until the files are right", "err", err)
		return c.pair, nil
	}
	c.pair, c.of = &pair, at
	c.log.Info("the certificate was read again")
	return c.pair, nil
}
