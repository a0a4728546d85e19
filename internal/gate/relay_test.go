package gate

import (
	"bytes"
	"log/slog"
	"net/http"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
)

// Requests for what is open to anybody leave places for people and programs.
func TestNobodyTakesAllPlaces(t *testing.T) {
	p := NewRelay(&Sites{Log: slog.New(slog.DiscardHandler)}, 8)
	nobody, program := Verdict{Status: http.StatusOK}, Verdict{Status: http.StatusOK, service: "backup"}
	ada := Verdict{Status: http.StatusOK, Answer: authority.Answer{}}
	ada.Answer.Account = exeunt.NewAccountID()
	var leave []func()
	enter := func(what string, v Verdict, times, want int) {
		t.Helper()
		for i := range times {
			done, status := p.enter(v)
			if status != want {
				t.Fatalf("%s, request %d: %d", what, i, status)
			}
			if done != nil {
				leave = append(leave, done)
			}
		}
	}
	for range 2 { // whoever leaves makes room
		enter("nobody", nobody, 4, 0)
		enter("nobody, once more", nobody, 1, http.StatusServiceUnavailable)
		enter("a person", ada, 2, 0)
		enter("a program", program, 2, 0)
		enter("a person, when all are taken", ada, 1, http.StatusServiceUnavailable)
		for _, done := range leave {
			done()
		}
		leave = nil
	}
	if len(p.open) > 0 || p.nobody != 0 {
		t.Errorf("all have left, and %v and %d remain", p.open, p.nobody)
	}
}

// What passed through a buffer does not lie in it until the next answer.
func TestBuffersKeepNoCopy(t *testing.T) {
	var b buffers
	one := b.Get()
	if len(one) != bufferSize {
		t.Fatalf("%d bytes", len(one))
	}
	copy(one, "what Ada reads")
	b.Put(one)
	if !bytes.Equal(one, make([]byte, bufferSize)) {
		t.Errorf("the buffer holds %q", bytes.TrimRight(one, "\x00"))
	}
}
