package gate

import (
	"net/http"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/testnode"
)

// The gate behind a real server, to be compared with BenchmarkEmpty.
func BenchmarkGate(b *testing.B) {
	n := testnode.New(b, testnode.Options{})
	_, browser := n.NewSession(b, n.NewAccount(b, "ada"), exeunt.KindKept)
	token, _ := n.NewAppSession(b, browser, testnode.Chirp)
	overNetwork(b, New(n.Authority, n.OAuth.Registry), token, "Remote-User: ada\r\n")
}

// An empty handler behind the same server: what net/http itself costs.
func BenchmarkEmpty(b *testing.B) {
	overNetwork(b, http.HandlerFunc(nothing), exeunt.NewToken(exeunt.UseApp), "Content-Length: 0\r\n")
}

func overNetwork(b *testing.B, h http.Handler, token exeunt.Token, line string) {
	s := serve(b, h)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, request := dial(b, s), []byte(requestText(token))
		for pb.Next() {
			if !c.ask(b, request, line) {
				b.Error("not the answer that was expected")
				return
			}
		}
	})
}
