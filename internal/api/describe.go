package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// describeStreams describes the calls that another room serves beside this
// API, so that the description is whole.
func describeStreams(o *huma.OpenAPI) {
	state := operation(http.MethodGet, "/api/v1/session/state", tagState, "get-state", "What is known about the session now", 0)
	state.Description = "Never counts as activity. 401 says ended, 503 says that it cannot be known."
	state.Responses = map[string]*huma.Response{
		"200": jsonResponse("live", `{"state":"live","session":"ses_…","warnIn":1680000,"idleIn":1800000}`),
		"401": jsonResponse("ended", `{"state":"ended","reason":"idle","at":"2026-11-23T09:00:00Z"}`),
		"503": jsonResponse("unknown", `{"state":"unknown"}`),
	}
	follow := operation(http.MethodGet, "/api/v1/session/stream", tagState, "follow-session", "Follow the session until it ends", 0)
	follow.Description = "Server-sent events. state: what /api/v1/session/state answers, at once and whenever it changes; ended is the last. " +
		"changed: the account's list of sessions changed. A comment line every 15 seconds. Never counts as activity."
	follow.Responses = map[string]*huma.Response{
		"200": {Description: "events until the session ends", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}},
		"401": state.Responses["401"],
		"503": state.Responses["503"],
	}
	o.AddOperation(&state)
	o.AddOperation(&follow)
}

func jsonResponse(what, example string) *huma.Response {
	return &huma.Response{Description: what, Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, Examples: []any{example}}},
	}}
}
