package client

import (
	"fmt"
	"net/url"
	"strconv"
)

// maxIdleSeconds is ten years, longer than any browser leaves a page open.
const maxIdleSeconds = 10 * 366 * 24 * 60 * 60

// IdleCSS is the stylesheet by which a page without script warns after the
// query's warn seconds and blanks after its end seconds; ok is false when the
// query does not say so. Pages link it inside noscript only: a script knows
// better, because activity in another tab counts too. It says nothing about
// anybody. See Person.IdleStylesheet for what it hides and shows.
//
// Browsers run the delays from when the page was drawn, also in the background.
// What it hides is out of sight, of reach and of the accessibility tree; the
// server has ended the session by itself at about the same moment.
func IdleCSS(q url.Values) (css string, ok bool) {
	warn, err1 := strconv.Atoi(q.Get("warn"))
	end, err2 := strconv.Atoi(q.Get("end"))
	if err1 != nil || err2 != nil || warn < 0 || end < warn || end > maxIdleSeconds {
		return "", false
	}
	return fmt.Sprintf(idleRules, warn, end, end, end), true
}

// Both ends of each animation are named: with the end alone, Chromium never
// hides what lies inside something that is being hidden too.
const idleRules = `@keyframes exeunt-show{from,to{visibility:visible}}
@keyframes exeunt-hide{from,to{visibility:hidden}}
.idle-banner{display:flex;visibility:hidden;animation:exeunt-show 1ms linear %ds forwards,exeunt-hide 1ms linear %ds forwards}
.idle-left{display:block;visibility:hidden;animation:exeunt-show 1ms linear %ds forwards}
.private,.private *{animation:exeunt-hide 1ms linear %ds forwards}
`

// IdleStylesheet is the address of the stylesheet that a page links inside
// noscript. What it hides carries the class private; the banner and the note
// that stays are idle-banner and idle-left, both hidden by the page's own CSS.
func (p Person) IdleStylesheet() string {
	warn, end := int(p.WarnAt.Sub(p.AskedAt).Seconds()), int(p.IdleAt.Sub(p.AskedAt).Seconds())
	return fmt.Sprintf("/exeunt/idle.css?warn=%d&end=%d", max(warn, 0), max(end, 0))
}
