package pages

import (
	"fmt"
	"io"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
)

// idleStyle is the stylesheet by which a page without script warns and blanks.
func idleStyle(w http.ResponseWriter, r *http.Request) error {
	css, ok := client.IdleCSS(r.URL.Query())
	if !ok {
		return fmt.Errorf("idle times: %w", exeunt.ErrBadRequest)
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = io.WriteString(w, css) // the browser may have gone away
	return nil
}
