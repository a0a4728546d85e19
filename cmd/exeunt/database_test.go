package main

import (
	"net/http"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/exeunt/exeunt/internal/testpg"
)

// serverKey is where a script keeps its PostgreSQL server.
type serverKey struct{}

// database starts a PostgreSQL server and puts a database's URL into a variable.
func database(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: database NAME")
	}
	server, err := testpg.Start()
	ts.Check(err)
	ts.Defer(server.Close)
	*ts.Value(serverKey{}).(**testpg.Server) = server
	ts.Setenv(args[0], server.URL("postgres"))
}

func databaseStop(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check((*ts.Value(serverKey{}).(**testpg.Server)).Signal(syscall.SIGQUIT))
}

func databaseStart(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check((*ts.Value(serverKey{}).(**testpg.Server)).Up())
}

// gate waits until the server at $ADDR answers $TOKEN with a status.
func (c *certificate) gate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gate STATUS")
	}
	wait(ts, "the gate's "+args[0], func() bool {
		req, err := http.NewRequest(http.MethodGet, ts.Getenv("URL")+"/gate", nil)
		ts.Check(err)
		req.Header.Set("Authorization", "Bearer "+ts.Getenv("TOKEN"))
		resp, err := c.client(ts).Do(req)
		ts.Check(err)
		resp.Body.Close()
		return strconv.Itoa(resp.StatusCode) == args[0]
	})
}
