package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/exeunt/exeunt/internal/web"
)

// Whatever answers 500, it is logged with the request's id and the cause, which nobody
// else is told.
func TestEvery500IsLogged(t *testing.T) {
	var logs strings.Builder
	a := New(Deps{URL: "https://id.example.com", Log: slog.New(slog.NewTextHandler(&logs, nil))})
	mux := http.NewServeMux()
	h := humago.New(mux, a.config())
	huma.Get(h, "/api/v1/broken", func(context.Context, *struct{}) (*struct{}, error) { return nil, errors.New("disk") })
	w := httptest.NewRecorder()
	web.WithRequestID(mux).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/broken", nil))
	id := w.Header().Get("X-Request-Id")
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "disk") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if said := logs.String(); !strings.Contains(said, "level=ERROR") || !strings.Contains(said, "request="+id) ||
		!strings.Contains(said, "disk") {
		t.Errorf("logged %q", said)
	}
}
