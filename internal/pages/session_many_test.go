package pages

import (
	"fmt"
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/signin"
)

// crowd signs an account in to that many apps, a second apart.
func (n *node) crowd(handle string, many int) (ids []exeunt.SessionID) {
	n.t.Helper()
	proof, err := signin.Proof(n.SignIn.Password(n.t.Context(), handle, password, netip.Addr{}))
	n.must(err)
	for i := range many {
		n.Clock.Pass(time.Second)
		_, s, err := n.Start(n.t.Context(), authority.SignIn{Proof: proof, Kind: exeunt.KindApp,
			Label: fmt.Sprintf("App %d", i+1), Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})})
		n.must(err)
		ids = append(ids, s.ID)
	}
	return ids
}

var nextPart = regexp.MustCompile(`<a class="btn" href="([^"]*)" data-next>`)

// next is the address of the list's next part, "" at its end.
func (a *answer) next() string {
	m := nextPart.FindStringSubmatch(a.body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// Every session is on one page of the list; each page has at most 50, and all tell how many there are.
func TestManySessionsComeInPages(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	const many = 223
	ids := n.crowd("ada", many)
	seen, pages := map[exeunt.SessionID]int{}, 0
	for at := "/sessions"; at != ""; pages++ {
		a := b.get(at).says("224", "Ends your 223 other sessions", "Ends your 224 sessions", "of 223 other sessions",
			"Search by device")
		rows := strings.Count(a.body, "data-ending>")
		if rows > pageLen || rows == 0 || len(a.body) > 130_000 {
			t.Errorf("a page has %d rows and weighs %d bytes", rows, len(a.body))
		}
		for _, id := range ids {
			if strings.Contains(a.body, `action="/sessions/`+id.String()+`/end"`) {
				seen[id]++
			}
		}
		at = a.next()
	}
	if len(seen) != many || pages != 5 {
		t.Errorf("%d sessions on %d pages", len(seen), pages)
	}
	b.get("/").says("223 other active sessions", "See your 224 sessions", "Three of the latest sign-ins")
	b.get("/security").says("This ends your 223 other sessions")
	for q, says := range map[string][]string{
		"app 7":      {"App 7", "App 70", "11 sessions on this page match"},
		"192.0.2.10": {"App 11", "App 101"}, "nothing": {"No session on this page matches"},
	} {
		b.get("/sessions?" + url.Values{"q": {q}}.Encode()).says(says...).hides("App 64")
	}
	b.get("/sessions?after=x").is(http.StatusBadRequest)
	b.get("/sessions/ended?after=x").is(http.StatusBadRequest)

	// What was ended is shown in its place, and the reader is led there.
	third := b.get(b.get(b.get("/sessions").next()).next())
	row := ids[many-120]
	form := third.form("/sessions/" + row.String() + "/end")
	a := b.post("/sessions/"+row.String()+"/end", form)
	want := third.at + "#" + row.String()
	if got := a.Header.Get("Location"); got != want {
		t.Errorf("ending a row of %s leads to %q", want, got)
	}
	b.follow(a).says("You signed out from Firefox on Linux", "of 222 other sessions")

	// The script stays on its page.
	row = ids[many-121]
	form = b.get(third.at).form("/sessions/" + row.String() + "/end")
	form.Set("stay", "1")
	b.post("/sessions/"+row.String()+"/end", form).is(http.StatusNoContent)
	b.get("/sessions").says("Ends your 221 other sessions").hides("You signed out from")

	b.post("/sessions/end", b.fields(url.Values{"scope": {"others"}, "key": {"all"}})).leadsTo("/sessions")
	b.get("/sessions").says("221 sessions ended")
	seen, pages = map[exeunt.SessionID]int{}, 0
	for at := "/sessions/ended"; at != ""; pages++ {
		a := b.get(at).says("223", "of 223 ended sessions")
		for _, id := range ids {
			if strings.Contains(a.body, `data-row="`+id.String()+`"`) {
				seen[id]++
			}
		}
		at = a.next()
	}
	if len(seen) != many || pages != 5 {
		t.Errorf("%d ended sessions on %d pages", len(seen), pages)
	}
	b.get("/sessions/ended?q=APP+7").says("App 7").hides("App 64")
}

// The confirmation names a few and tells how many there are besides.
func TestTheConfirmationStaysShort(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.crowd("ada", 6)
	b.get("/signout?scope=others").says("This ends 6 other sessions", "and one more")
	n.crowd("ada", 217)
	for _, scope := range []string{"others", "account"} {
		a := b.get("/signout?scope="+scope).says("223 other sessions", "and 218 more")
		if named := strings.Count(text(a.body), "App "); named != 5 {
			t.Errorf("%s: %d are named", scope, named)
		}
	}
	b.get("/signout").says("and 222 other sessions stay signed in")
}

// The list tells the first and the last address, and whether they are of different networks.
func TestTheListShowsWhereASessionWasUsed(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	n.Clock.Pass(time.Minute)
	b.address = "203.0.113.77:5555"
	b.get("/sessions").says("Signed in from 192.0.2.7", "Last used from 203.0.113.77",
		"Used from another network since")
	n.Clock.Pass(time.Hour)
	n.must(n.Maintain(t.Context()))
	n.must(n.FlushActivity(t.Context()))
	n.Clock.Pass(time.Minute)
	b.address = "192.0.2.99:5555" // the network it began in
	b.get("/sessions").says("Last used from 192.0.2.99").hides("another network")
}
