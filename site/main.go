// Command site makes the documentation a site of static pages.
//
// Its sources are the Markdown files of the repository, as people read them there. The reference of the API comes from
// the code. The pages need no server, no network and no script; with script they can be searched.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	from := flag.String("from", "..", "the repository")
	to := flag.String("to", "../dist/site", "the folder to write, which is replaced")
	flag.Parse()
	n, err := build(*from, *to)
	if err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
	fmt.Printf("wrote %d pages to %s\n", n, *to)
}
