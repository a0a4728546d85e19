package api

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt/client"
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
	log := byKey(operation(http.MethodGet, "/api/v1/events", tagVerifiers, "follow-events", "Follow the event log", 0))
	log.Description = "Server-sent events, for apps that keep checked sessions in their own memory. hello comes first: a Position. " +
		"end: an EndEvent, its number as the id, in order and without gaps; without a number to begin after, from the hello's position on. " +
		"beat: a Position, at least every `beat` milliseconds, after all events up to it. " +
		"reload: a Position, when what follows the number is no longer kept: forget what was kept and go on from there. " +
		"A reader that stops reading is cut off, and resumes by number."
	log.Parameters = []*huma.Param{
		{Name: "after", In: "query", Description: "Number of the last event known", Schema: &huma.Schema{Type: huma.TypeInteger}},
		{Name: "Last-Event-ID", In: "header", Description: "The same; after wins", Schema: &huma.Schema{Type: huma.TypeInteger}},
		{Name: "beat", In: "query", Description: "100 to 15000; 500 without it", Schema: &huma.Schema{Type: huma.TypeInteger}},
	}
	refs := o.Components.Schemas
	log.Responses = map[string]*huma.Response{
		"200": {Description: "events without end", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{OneOf: []*huma.Schema{
			refs.Schema(reflect.TypeFor[client.Position](), true, ""), refs.Schema(reflect.TypeFor[client.EndEvent](), true, ""),
		}}}}},
		"401": {Description: "no client's key"},
		"503": {Description: "stopping, or too many readers"},
	}
	o.AddOperation(&log)
	o.AddOperation(&state)
	o.AddOperation(&follow)
}

func jsonResponse(what, example string) *huma.Response {
	return &huma.Response{Description: what, Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, Examples: []any{example}}},
	}}
}
