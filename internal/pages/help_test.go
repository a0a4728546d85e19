package pages

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
)

func TestHelpKnowsTheReadersBrowser(t *testing.T) {
	const mozilla, gecko = "Mozilla/5.0 ", " AppleWebKit/537.36 (KHTML, like Gecko) "
	const webkit = " AppleWebKit/605.1.15 (KHTML, like Gecko) "
	windows, mac, phone := "(Windows NT 10.0; Win64; x64)", "(Macintosh; Intel Mac OS X 10_15_7)", "(iPhone; CPU iPhone OS 18_7 like Mac OS X)"
	android := "(Linux; Android 16; Pixel 8)"
	for ua, want := range map[string]string{
		mozilla + windows + gecko + "Chrome/156.0.0.0 Safari/537.36":                          "chrome_computer",
		mozilla + "(X11; CrOS x86_64 14541.0.0)" + gecko + "Chrome/156.0.0.0 Safari/537.36":   "chrome_computer",
		mozilla + android + gecko + "Chrome/156.0.0.0 Mobile Safari/537.36":                   "chrome_android",
		mozilla + phone + webkit + "CriOS/156.0.0.0 Mobile/15E148 Safari/604.1":               "chrome_ios",
		mozilla + windows + gecko + "Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0":            "edge_computer",
		mozilla + android + gecko + "Chrome/156.0.0.0 Mobile Safari/537.36 EdgA/156.0.0.0":    "edge_phone",
		mozilla + phone + webkit + "Version/18.0 EdgiOS/156.0.0.0 Mobile/15E148 Safari/604.1": "edge_phone",
		mozilla + "(Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0":      "firefox_computer",
		firefox: "firefox_computer",
		mozilla + "(Android 16; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0":                    "firefox_android",
		mozilla + phone + webkit + "FxiOS/153.0 Mobile/15E148 Safari/605.1.15":                  "firefox_ios",
		mozilla + mac + webkit + "Version/18.6 Safari/605.1.15":                                 "safari_mac",
		mozilla + phone + webkit + "Version/18.6 Mobile/15E148 Safari/604.1":                    "safari_ios",
		mozilla + android + gecko + "SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36": "samsung",
		mozilla + windows + gecko + "Chrome/156.0.0.0 Safari/537.36 OPR/120.0.0.0":              "", // its menus are others
		"curl/8.5.0": "", "": "", strings.Repeat("Mozilla", 1000): "",
	} {
		got := helpBrowser(ua)
		if got != want {
			t.Errorf("%.120q is %q, want %q", ua, got, want)
		}
		if got != "" && !slices.Contains(ui.HelpBrowsers, got) {
			t.Errorf("help has no steps for %q", got)
		}
	}
}

func TestHelpIsSearchedByItsAddress(t *testing.T) {
	b := newBrowser(newNode(t))
	b.get("/help?q=lost+phones").says("Answers found:", "My phone was lost or stolen")
	page := b.get("/help?q=" + url.QueryEscape(`"><script>alert(1)</script>`))
	page.says("No answer has all of these words.").hides("<script>alert")
	long := b.get("/help?q=" + strings.Repeat("phone+", 2000))
	if n := len(html.UnescapeString(regexp.MustCompile(`name="q" value="([^"]*)"`).FindStringSubmatch(long.body)[1])); n > 100 {
		t.Errorf("the field has %d characters", n)
	}
	for _, q := range []string{"%ff%fe", "%00", "%", "a&q=b", "%E2%80%AE"} {
		if a := b.get("/help?q=" + q); a.StatusCode >= 300 {
			t.Errorf("?q=%s answers %d", q, a.StatusCode)
		}
	}
}

// Every answer of help ends in the page that does it: at once for somebody who is signed in, after signing in for others.
func TestWaysOfHelpLeadSomewhere(t *testing.T) {
	n := newNodeWith(t, exeunt.DefaultPolicy(), true)
	n.account("ada")
	in, out := newBrowser(n), newBrowser(n)
	in.signIn("ada", "kept")
	button := regexp.MustCompile(`<a class="btn" href="([^"]*)"`)
	for who, b := range map[string]*browser{"somebody": in, "nobody": out} {
		_, answers, _ := strings.Cut(b.get("/help").body, "data-answers")
		seen := map[string]bool{}
		for _, section := range strings.Split(answers, "</section>")[:26] {
			ways := button.FindAllStringSubmatch(section, -1)
			if len(ways) == 0 {
				t.Errorf("%s: an answer ends in nothing: %s", who, text(section))
			}
			for _, m := range ways {
				seen[html.UnescapeString(m[1])] = true
			}
		}
		for to := range seen {
			if to == "/check" && !n.pages.has(to) {
				continue // it is made elsewhere
			}
			a := b.send(http.MethodGet, to, nil)
			if a.StatusCode != http.StatusOK && a.StatusCode != http.StatusNonAuthoritativeInfo {
				t.Errorf("%s: %s answers %d", who, to, a.StatusCode)
			} else if _, back, ok := strings.Cut(to, "return="); ok && a.form("/signin").Get("return") != back {
				t.Errorf("%s: %s is forgotten at the sign-in", who, back)
			}
		}
		if who == "nobody" && seen["/signout"] || len(seen) < 8 {
			t.Errorf("%s: help ends in %v", who, seen)
		}
	}
}

// has reports whether there is a page at an address.
func (p *Pages) has(path string) bool {
	return slices.ContainsFunc(p.routes(), func(rt route) bool { return rt.path == path })
}
