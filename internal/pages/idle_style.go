package pages

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
)

// maxIdleSeconds is ten years, longer than any browser leaves a page open.
const maxIdleSeconds = 10 * 366 * 24 * 60 * 60

// idleStyle is the stylesheet by which a page without script warns and blanks.
// It says nothing about anybody.
func idleStyle(w http.ResponseWriter, r *http.Request) error {
	warn, err1 := strconv.Atoi(r.URL.Query().Get("warn"))
	end, err2 := strconv.Atoi(r.URL.Query().Get("end"))
	if err1 != nil || err2 != nil || warn < 0 || end < warn || end > maxIdleSeconds {
		return fmt.Errorf("idle times: %w", exeunt.ErrBadRequest)
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = io.WriteString(w, ui.IdleCSS(warn, end)) // a browser that has gone away needs no answer
	return nil
}
