package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/exeunt/exeunt"
)

const (
	gateTokens      = 256
	gateConnections = 16
	gateRound       = 400 * time.Millisecond
)

// gate measures /gate as it is served, with its middlewares and headers,
// beside an empty handler behind the same server, with the same requests.
func (b *bench) gate(ctx context.Context, rounds int) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	node := b.node.Handler()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			return
		}
		node.ServeHTTP(w, r)
	})}
	go server.Serve(l)
	defer server.Close()
	tokens := make([]exeunt.Token, gateTokens)
	for i := range tokens {
		if tokens[i], _, err = b.start(ctx); err != nil {
			return err
		}
	}
	var gate, none, ratio []float64
	for i := range rounds + 2 {
		g, err := hammer(l.Addr().String(), "/gate", tokens, true)
		if err != nil {
			return err
		}
		e, err := hammer(l.Addr().String(), "/none", tokens, false)
		if err != nil {
			return err
		}
		if i < 2 {
			continue // warming up
		}
		gate, none, ratio = append(gate, g), append(none, e), append(ratio, g/e)
	}
	fmt.Printf("gate               %.0f/s over %d connections, an empty handler behind the same server %.0f/s, ratio %.2f (aim: 0.85, %s)\n",
		median(gate), gateConnections, median(none), median(ratio), verdict(median(ratio) >= 0.85))
	return nil
}

// hammer sends requests over kept connections, each after the answer to the
// one before, and returns how many were answered in a second. It is a plain
// reader of sockets, so that the client takes as little of the machine as it can.
func hammer(addr, path string, tokens []exeunt.Token, named bool) (float64, error) {
	var wg sync.WaitGroup
	counts := make([]int, gateConnections)
	errs := make([]error, gateConnections)
	start := time.Now()
	for c := range gateConnections {
		wg.Go(func() { counts[c], errs[c] = converse(addr, path, tokens, c, named, start.Add(gateRound)) })
	}
	wg.Wait()
	n := 0
	for _, k := range counts {
		n += k
	}
	return perSecond(n, time.Since(start)), errors.Join(errs...)
}

func converse(addr, path string, tokens []exeunt.Token, first int, named bool, until time.Time) (n int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	requests := make([]string, len(tokens))
	for i, t := range tokens {
		requests[i] = "GET " + path + " HTTP/1.1\r\nHost: exeunt.localhost\r\nUser-Agent: bench\r\nAuthorization: Bearer " + t.Reveal() + "\r\n\r\n"
	}
	in := bufio.NewReader(conn)
	for i := first; time.Now().Before(until); i++ {
		if _, err := conn.Write([]byte(requests[i%len(requests)])); err != nil {
			return n, err
		}
		if err := answer(in, named); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// answer reads one answer without a body.
func answer(in *bufio.Reader, named bool) error {
	status, user := false, false
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := string(line)
		switch {
		case strings.HasPrefix(text, "HTTP/1.1 200"):
			status = true
		case strings.HasPrefix(text, "Remote-User: bench"):
			user = true
		case text == "\r\n":
			if !status || named != user {
				return errors.New("an answer was not what it should be")
			}
			return nil
		}
	}
}
