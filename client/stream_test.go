package client_test

import (
	"context"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testsite"
)

// expect waits for a state, passing over others.
func expect(t *testing.T, in <-chan client.State, want client.Liveness) client.State {
	t.Helper()
	for {
		s, ok := testnode.Receive(t, in, "the state "+string(want))
		if !ok {
			t.Fatalf("the stream ended before %q", want)
		}
		if s.State == want {
			return s
		}
	}
}

func TestStream(t *testing.T) {
	s := testsite.New(t, testnode.ChirpRedirect)
	token, session := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindApp)
	told := make(chan client.State, 64)
	result := make(chan error, 1)
	go func() {
		result <- s.Client.Stream(t.Context(), client.NewSecret(token.Reveal()), func(st client.State) { told <- st })
	}()
	if st := expect(t, told, client.Live); st.Session != session.ID.String() {
		t.Errorf("%+v", st)
	}
	s.Server.CloseClientConnections()
	expect(t, told, client.Unknown)
	expect(t, told, client.Live)
	s.SignOut(t, session)
	expect(t, told, client.Over)
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestStreamStopsWithItsContext(t *testing.T) {
	s := testsite.New(t, testnode.ChirpRedirect)
	token, _ := s.NewSession(t, s.NewAccount(t, "ada"), exeunt.KindApp)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Client.Stream(ctx, client.NewSecret(token.Reveal()), func(client.State) { cancel() })
	if err != context.Canceled {
		t.Error(err)
	}
}
