package chirp

import (
	"context"
	"sync"

	"github.com/exeunt/exeunt/client/verify"
)

// run starts the verifier, which checks sessions in Chirp's own process: the middleware
// uses it for pages, while posts ask the authority. stop stops it and waits until it has reported the remaining
// activity.
func run(v *verify.Verifier) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { v.Run(ctx) }) // returns only when it is stopped
	return func() { cancel(); done.Wait() }
}
