package pages

import (
	"net/http"

	"github.com/medama-io/go-useragent/agents"
)

const maxAgent = 400

// label names the browser as people know it: "Firefox on Linux".
func (p *Pages) label(r *http.Request) string {
	ua := r.UserAgent()
	known := p.Agents.Parse(ua[:min(len(ua), maxAgent)])
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
