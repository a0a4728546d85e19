package pages

import (
	"net/http"

	useragent "github.com/medama-io/go-useragent"
	"github.com/medama-io/go-useragent/agents"
)

const maxAgent = 400

// PrepareLabels builds the table for label, once for the whole process, so that the
// first sign-in need not wait for it.
func PrepareLabels() { useragent.NewParser() }

// label names the browser as people know it: "Firefox on Linux".
func label(r *http.Request) string {
	ua := r.UserAgent()
	agent := useragent.NewParser().Parse(ua[:min(len(ua), maxAgent)])
	browser, system := agent.Browser().String(), agent.OS().String()
	if agent.OS() == agents.OSMacOS {
		system = "macOS"
	}
	if browser == "" {
		browser = "A browser"
	}
	if system == "" {
		return browser
	}
	return browser + " on " + system
}
