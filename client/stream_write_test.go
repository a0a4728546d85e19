package client

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// eventServer is a server whose own limit on writing is short, as is the
// write timeout of its streams.
func eventServer(t *testing.T, version int, patience, limit time.Duration, serve func(*StreamWriter)) *http.Client {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != version {
			t.Errorf("the request came over %s", r.Proto)
		}
		e := NewStreamWriter(w)
		e.timeout = patience
		serve(e)
	}))
	s.Config.WriteTimeout = limit
	s.EnableHTTP2 = version == 2
	s.StartTLS()
	t.Cleanup(s.Close)
	c := s.Client()
	base := c.Transport
	c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		r.URL.Scheme, r.URL.Host = "https", s.Listener.Addr().String()
		return base.RoundTrip(r)
	})
	return c
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A stream lives as long as its reader reads, however long it has nothing to
// say, and whatever limit its server has on answers.
func TestQuietStreamsStayOpen(t *testing.T) {
	t.Parallel()
	const quiet, beats = 300 * time.Millisecond, 4
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", version), func(t *testing.T) {
			c := eventServer(t, version, quiet/3, quiet/2, func(e *StreamWriter) {
				for range beats {
					if err := e.Beat(); err != nil {
						t.Errorf("a beat: %v", err)
						return
					}
					time.Sleep(quiet)
				}
			})
			resp, err := c.Get("https://there/")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got := 0
			lines := bufio.NewScanner(resp.Body)
			for lines.Scan() {
				if lines.Text() == ":" {
					got++
				}
			}
			if got != beats || lines.Err() != nil {
				t.Errorf("%d beats of %d arrived, then %v", got, beats, lines.Err())
			}
		})
	}
}

// A reader that does not read holds a stream for its timeout and no longer.
func TestReadersWhoStoppedReadingAreLeft(t *testing.T) {
	t.Parallel()
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", version), func(t *testing.T) {
			left := make(chan error, 1)
			long := string(make([]byte, 64<<10))
			c := eventServer(t, version, 200*time.Millisecond, time.Minute, func(e *StreamWriter) {
				for {
					if err := e.write(long); err != nil {
						left <- err
						return
					}
				}
			})
			resp, err := c.Get("https://there/")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			io.ReadFull(resp.Body, make([]byte, 10))
			select {
			case <-left:
			case <-time.After(2 * time.Minute):
				t.Error("the stream still waits for its reader")
			}
		})
	}
}
