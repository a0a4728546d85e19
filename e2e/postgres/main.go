// Command postgres runs a PostgreSQL server for apps that the tests sign in to. It prints the URL of an empty database,
// and ends with its standard input.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/exeunt/exeunt/internal/testpg"
)

func main() {
	server, err := testpg.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "postgres:", err)
		os.Exit(1)
	}
	defer server.Close()
	fmt.Println(server.URL("postgres"))
	io.Copy(io.Discard, os.Stdin)
}
