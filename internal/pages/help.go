package pages

import (
	"net/http"

	useragent "github.com/medama-io/go-useragent"
	"github.com/medama-io/go-useragent/agents"

	"github.com/exeunt/exeunt/internal/ui"
)

// help is for everybody, and fits the reader's own session if there is one.
func (p *Pages) help(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	policy := p.Policy
	if v.SignedIn() {
		policy = policy.Of(v.Profile.Groups)
	}
	return p.show(w, http.StatusOK, &ui.HelpView{
		Frame: p.frame(r, v, ui.NavHelp), Policy: policy,
		Mails: p.Accounts.SendsMails(), Browser: helpBrowser(r.UserAgent()), Search: r.URL.Query().Get("q"),
	})
}

// helpBrowser is the reader's browser as one of ui.HelpBrowsers, or "" if its menus may be others.
func helpBrowser(ua string) string {
	agent := useragent.NewParser().Parse(ua[:min(len(ua), maxAgent)])
	device := "_computer"
	switch agent.OS() {
	case agents.OSAndroid:
		device = "_android"
	case agents.OSIOS:
		device = "_ios"
	}
	switch agent.Browser() {
	case agents.BrowserChrome:
		return "chrome" + device
	case agents.BrowserFirefox:
		return "firefox" + device
	case agents.BrowserEdge:
		if device != "_computer" {
			device = "_phone"
		}
		return "edge" + device
	case agents.BrowserSafari:
		switch agent.OS() {
		case agents.OSMacOS:
			return "safari_mac"
		case agents.OSIOS:
			return "safari_ios"
		}
	case agents.BrowserSamsung:
		return "samsung"
	}
	return ""
}
