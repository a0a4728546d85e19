package client

import (
	"fmt"
	"net/url"
	"strconv"
)

// maxIdleSeconds is ten years, longer than any page stays open.
const maxIdleSeconds = 10 * 366 * 24 * 60 * 60

// IdleCSS returns the stylesheet by which a page without script shows a warning
// after the query's warn seconds and hides its content after its end seconds; ok
// is false when the query has no valid ones. Pages link it inside noscript only,
// because a script also learns of activity in other tabs. It holds nothing
// private. See Person.IdleStylesheet for the classes that it hides and shows.
//
// Browsers count the delays from when the page was drawn, also in the background.
// Hidden content cannot be seen or focused and is not in the accessibility tree.
// The session reaches its idle timeout at about the same moment.
func IdleCSS(q url.Values) (css string, ok bool) {
	warn, err1 := strconv.Atoi(q.Get("warn"))
	end, err2 := strconv.Atoi(q.Get("end"))
	if err1 != nil || err2 != nil || warn < 0 || end < warn || end > maxIdleSeconds {
		return "", false
	}
	return fmt.Sprintf(idleRules, warn, end, end, end), true
}

// Each animation names both keyframes: with "to" alone, Chromium never hides an
// element inside another that is being hidden.
const idleRules = `@keyframes exeunt-show{from,to{visibility:visible}}
@keyframes exeunt-hide{from,to{visibility:hidden}}
.idle-banner{display:flex;visibility:hidden;
animation:exeunt-show 1ms linear %ds forwards,exeunt-hide 1ms linear %ds forwards}
.idle-left{display:block;visibility:hidden;animation:exeunt-show 1ms linear %ds forwards}
.private,.private *{animation:exeunt-hide 1ms linear %ds forwards}
`

// IdleStylesheet is the address of the stylesheet that a page links inside
// noscript. It hides elements of the class private and shows idle-banner as a
// warning and idle-left at the end; the page's own CSS hides those two until then.
func (p Person) IdleStylesheet() string {
	warn := max(int(p.WarnAt.Sub(p.AskedAt).Seconds()), 0)
	return fmt.Sprintf("/exeunt/idle.css?warn=%d&end=%d", warn, p.IdleSeconds())
}

// MinutesLeft is for the strip of a page on a shared computer, in a browser without script: full minutes until the
// session ends if it stays unused.
func (p Person) MinutesLeft() int { return p.IdleSeconds() / 60 }

// IdleSeconds is how long after the check of the session its idle timeout is. Pages pass
// it to the browser module, in case that may not ask the server.
func (p Person) IdleSeconds() int { return max(int(p.IdleAt.Sub(p.AskedAt).Seconds()), 0) }
