package pages

import (
	"net/http"

	useragent "github.com/medama-io/go-useragent"
	"github.com/medama-io/go-useragent/agents"
)

const maxAgent = 400

// PrepareLabels builds the table that label looks into, of which there is one
// for the whole process. Otherwise the first label does.
func PrepareLabels() { useragent.NewParser() }

// label names the browser as people know it: "Firefox on Linux".
func label(r *http.Request) string {
	ua := r.UserAgent()
	known := useragent.NewParser().Parse(ua[:min(len(ua), maxAgent)])
	browser, system := known.Browser().String(), known.OS().String()
	if known.OS() == agents.OSMacOS {
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
