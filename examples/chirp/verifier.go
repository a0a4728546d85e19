package chirp

import (
	"context"
	"sync"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/verify"
)

// newVerifier returns a verifier, which checks sessions in Chirp's own process, or nil
// when Chirp has no key. The middleware uses it for pages; posts ask the authority.
func newVerifier(c Config, authority *client.Client) (*verify.Verifier, error) {
	if c.Key.IsZero() {
		return nil, nil
	}
	return verify.New(verify.Options{Client: authority, Key: c.Key, Log: c.Log})
}

// run starts the verifier. stop stops it and waits until it has reported the remaining
// activity.
func run(v *verify.Verifier) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { v.Run(ctx) }) // returns only when it is stopped
	return func() { cancel(); done.Wait() }
}
