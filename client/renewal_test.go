package client_test

import (
	"errors"
	"net/http"
	"os"
	"testing"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testsite"
)

// lossy loses the answers to the first calls that end many sessions.
type lossy struct {
	http.RoundTripper
	lost int
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil && r.Method == http.MethodDelete && l.lost > 0 {
		l.lost--
		resp.Body.Close()
		return nil, errors.New("the connection was lost")
	}
	return resp, err
}

// An app that ends all others gets another token and stores it, also when answers are lost on the way. Nothing is left
// that would sign it out later.
func TestEndOthers(t *testing.T) {
	s := testsite.New(t, testnode.ChirpRedirect)
	s.NewAccount(t, "ada")
	for lost := range 3 {
		old, _ := signedIn(t, s, "ada")
		signedIn(t, s, "ada")
		kept := client.TokenFile{Dir: t.TempDir()}
		if err := kept.Save(old); err != nil {
			t.Fatal(err)
		}
		c, err := client.New(testsite.Localhost(s.Server, "exeunt"),
			client.Options{Transport: &lossy{client.NewTransport(), lost}})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := c.EndOthers(t.Context(), kept); err != nil || n != int64(1+min(lost, 1)) {
			t.Errorf("%d answers lost: %d, %v", lost, n, err)
		}
		token, err := kept.Load()
		if err != nil || token == old {
			t.Errorf("the stored token: %v, the old one: %v", err, token == old)
		}
		if _, err := c.Current(t.Context(), token); err != nil {
			t.Error(err)
		}
		if err := c.FinishSignOuts(t.Context(), kept); err != nil {
			t.Error(err)
		}
		if files, err := os.ReadDir(kept.Dir); err != nil || len(files) != 1 {
			t.Errorf("%d files, %v", len(files), err)
		}
	}
	if _, err := s.Client.EndOthers(t.Context(), client.TokenFile{Dir: t.TempDir()}); !errors.Is(err, client.ErrNoToken) {
		t.Error(err)
	}
}
