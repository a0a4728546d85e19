package oidc

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
)

// WithoutLibrary returns a handler for slog's default logger that leaves out what the OpenID library writes there: a line
// for every wrong request that anybody sends, with parts of it. What operators must know, the provider logs itself.
func WithoutLibrary(h slog.Handler) slog.Handler { return withoutLibrary{h} }

type withoutLibrary struct{ slog.Handler }

const library = "github.com/zitadel/oidc/"

func (h withoutLibrary) Handle(ctx context.Context, r slog.Record) error {
	frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
	if strings.HasPrefix(frame.Function, library) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h withoutLibrary) WithAttrs(a []slog.Attr) slog.Handler {
	return withoutLibrary{h.Handler.WithAttrs(a)}
}

func (h withoutLibrary) WithGroup(name string) slog.Handler {
	return withoutLibrary{h.Handler.WithGroup(name)}
}
