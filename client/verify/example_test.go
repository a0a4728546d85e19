package verify_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/verify"
)

// A verifier runs beside the app's server. A check has three outcomes, and "it
// cannot be known" is not "signed out".
func Example() {
	there := httptest.NewServer(http.NotFoundHandler()) // no authority, so nothing can be known
	defer there.Close()
	authority, err := client.New(there.URL, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	v, err := verify.New(verify.Options{Client: authority, Key: client.NewSecret("exk_key_of_the_app")})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { v.Run(ctx) })
	defer func() { stop(); running.Wait() }() // it hands in activity that the authority does not know yet

	person, err := v.Check(ctx, client.NewSecret("exa_token_of_the_request"), true)
	switch {
	case err == nil:
		fmt.Println("signed in as", person.Handle)
	case errors.Is(err, client.ErrSignedOut):
		fmt.Println("signed out")
	case errors.Is(err, client.ErrUnavailable):
		fmt.Println("refused, because nobody can tell")
	}
	// Output:
	// refused, because nobody can tell
}
