package app

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/exeunt/exeunt/client"
)

// serveOver serves over one version of HTTP with the limits of a node, but a
// shorter one on answers.
func serveOver(t *testing.T, version int, limit time.Duration, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Config = Server(h, slog.New(slog.DiscardHandler), slog.LevelDebug)
	if s.Config.WriteTimeout < requestLimit+10*time.Second || s.Config.WriteTimeout > 2*time.Minute {
		t.Errorf("an answer may take %v", s.Config.WriteTimeout)
	}
	s.Config.WriteTimeout = limit
	s.EnableHTTP2 = version == 2
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// A reader who takes nothing of an answer, as with an HTTP/2 window of zero,
// does not hold its handler for good.
func TestReadersWhoTakeNothingAreLeft(t *testing.T) {
	t.Parallel()
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", version), func(t *testing.T) {
			left := make(chan error, 1)
			s := serveOver(t, version, 200*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
				for {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						left <- err
						return
					}
				}
			})
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.ProtoMajor != version {
				t.Fatalf("over %s", resp.Proto)
			}
			select {
			case <-left:
			case <-time.After(2 * time.Minute):
				t.Error("the handler still waits for its reader")
			}
		})
	}
}

// Streams outlive every limit of the server while their reader reads.
func TestStreamsOutliveTheLimitsOfTheServer(t *testing.T) {
	t.Parallel()
	const limit = time.Second // in which a busy machine has made a connection
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", version), func(t *testing.T) {
			t.Parallel()
			s := serveOver(t, version, limit, func(w http.ResponseWriter, r *http.Request) {
				e := client.NewStreamWriter(w)
				for range 3 {
					if err := e.Beat(); err != nil {
						t.Errorf("a beat: %v", err)
					}
					time.Sleep(2 * limit)
				}
			})
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != ":\n\n:\n\n:\n\n" {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}
