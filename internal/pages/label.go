package pages

import (
	"net/http"
	"regexp"

	useragent "github.com/medama-io/go-useragent"
	"github.com/medama-io/go-useragent/agents"
)

const maxAgent = 400

// PrepareLabels builds the table for label, once for the whole process, so that the
// first sign-in need not wait for it.
func PrepareLabels() { useragent.NewParser() }

// label names the browser as people know it: "Firefox on Linux".
func label(r *http.Request) string { return labelOf(r.UserAgent()) }

func labelOf(ua string) string {
	agent := useragent.NewParser().Parse(ua[:min(len(ua), maxAgent)])
	browser, system := agent.Browser().String(), agent.OS().String()
	if agent.OS() == agents.OSMacOS {
		system = "macOS"
	}
	if browser == "" {
		browser = product(ua)
	}
	if system == "" {
		return browser
	}
	return browser + " on " + system
}

// firstProduct is the name of the first product in a User-Agent header (RFC 9110 section
// 10.1.5).
var firstProduct = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,29}`)

// product names a browser that we do not know by its own first word, if that says
// anything: nearly all begin with Mozilla.
func product(ua string) string {
	if name := firstProduct.FindString(ua); name != "" && name != "Mozilla" {
		return name
	}
	return "A browser"
}
