package gate

import (
	"net/http"
	"strings"
)

// readEnvoy reads a check by Envoy's HTTP authorization service: the request itself without its body, with our address
// in front of its path.
func readEnvoy(r *http.Request) (told, bool) {
	scheme := first(r.Header, "X-Forwarded-Proto")
	if len(r.Header["X-Forwarded-Proto"]) != 1 || r.Host == "" {
		return told{}, false
	}
	uri := strings.TrimPrefix(r.RequestURI, ForwardPath+"envoy")
	return told{scheme, r.Host, r.Method, uri}, strings.HasPrefix(uri, "/")
}
