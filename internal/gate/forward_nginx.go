package gate

import (
	"net/http"
	"strings"

	"github.com/exeunt/exeunt/client"
)

// readNginx reads what our configuration of nginx sends with auth_request.
func readNginx(r *http.Request) (told, bool) {
	url := first(r.Header, "X-Original-Url")
	scheme, rest, ok := strings.Cut(url, "://")
	host, path, slash := strings.Cut(rest, "/")
	t, said := one(r.Header, told{scheme, host, first(r.Header, "X-Original-Method"), "/" + path},
		"X-Original-Url", "X-Original-Method")
	return t, said && ok && slash
}

// answerNginx is for auth_request, which knows 200, 401 and 403 only and takes all else for a fault. Where the browser
// should go is in Location, for error_page to use.
func answerNginx(w http.ResponseWriter, v Verdict) {
	h := w.Header()
	if v.Reason != "" {
		h[client.HeaderReason] = []string{v.Reason}
	}
	status := v.Status
	if v.Location != "" {
		h.Set("Location", v.Location)
		status = http.StatusUnauthorized
	}
	if status == http.StatusServiceUnavailable {
		h["Retry-After"] = oneSecond
	}
	w.WriteHeader(status)
}
