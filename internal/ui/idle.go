package ui

import "fmt"

// IdleCSS is the stylesheet by which a page without script warns after warn
// seconds and blanks after end seconds. Pages link it inside noscript only: a
// script knows better, because activity in another tab counts too.
//
// Browsers run the delays from when the page was drawn, also in the background.
// What it hides is out of sight, of reach and of the accessibility tree; the
// server has ended the session by itself at about the same moment. Both ends of
// an animation name its value: Chromium does not keep the last frame of one
// that only says "to hidden".
func IdleCSS(warn, end int) string {
	warn, end = max(warn, 0), max(end, 0)
	return fmt.Sprintf(`@keyframes exeunt-show{from,to{visibility:visible}}
@keyframes exeunt-hide{from,to{visibility:hidden}}
.idle-banner{display:flex;visibility:hidden;animation:exeunt-show 1ms linear %ds forwards,exeunt-hide 1ms linear %ds forwards}
.idle-left{display:block;visibility:hidden;animation:exeunt-show 1ms linear %ds forwards}
.private,.private *{animation:exeunt-hide 1ms linear %ds forwards}
`, warn, end, end, end)
}
