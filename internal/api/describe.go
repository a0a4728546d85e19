package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt/client"
)

// The schemas of the description that no call's own types give.
const (
	schemaProblem = "Problem"
	schemaLive    = "LiveState"
	schemaOver    = "EndedState"
	schemaUnknown = "UnknownState"
)

// describe makes the description say what is really answered: huma would
// describe its own errors, and it knows nothing of what other rooms serve
// beside this API.
func (a *API) describe(o *huma.OpenAPI) {
	if a.URL != "" {
		o.Servers = []*huma.Server{{URL: a.URL, Description: "This installation"}}
	}
	schemas := o.Components.Schemas.Map()
	problem := o.Components.Schemas.Schema(reflect.TypeFor[client.Problem](), true, schemaProblem)
	for path, item := range o.Paths {
		for method, op := range callsOf(item) {
			for status := range op.Responses {
				if code, err := strconv.Atoi(status); err != nil || code >= 400 {
					delete(op.Responses, status)
				}
			}
			for _, status := range statusesOf(path, method) {
				op.Responses[strconv.Itoa(status)] = problemResponse(status, problem)
			}
		}
	}
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	describeStates(o)
	describeGate(o)
}

// callsOf returns the calls of a path, by method.
func callsOf(item *huma.PathItem) map[string]*huma.Operation {
	calls := map[string]*huma.Operation{}
	for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodDelete: item.Delete} {
		if op != nil {
			calls[method] = op
		}
	}
	return calls
}

// statusesOf are the problems a call may answer with. What a call may answer
// by itself stands here; what stands before and around it is added: a forged
// request (403), a fault of ours (500), and a store that is away (503).
func statusesOf(path, method string) []int {
	own := map[string][]int{
		"POST /api/v1/signin":          {400, 401, 408, 409, 413, 415, 422, 429},
		"GET /api/v1/session":          {401},
		"DELETE /api/v1/session":       {401, 422},
		"GET /api/v1/sessions":         {401, 403, 422},
		"DELETE /api/v1/sessions":      {401, 422, 429},
		"DELETE /api/v1/sessions/{id}": {401, 404, 422},
		"POST /api/v1/app-sessions":    {400, 408, 413, 415, 422},
		"POST /api/v1/events/echo":     {400, 401, 408, 413, 415, 422},
		"POST /api/v1/activity":        {400, 401, 408, 413, 415, 422},
	}[method+" "+path]
	if method != http.MethodGet {
		own = append(own, http.StatusForbidden)
	}
	return append(own, http.StatusInternalServerError, http.StatusServiceUnavailable)
}

// whatStatus says in a few words what each status means here.
var whatStatus = map[int]string{
	400: "The body is no JSON, or the code is no good", 401: "Nobody is signed in with this: no token, a wrong password, or a session that has ended",
	403: "Not the caller's to do, a disabled account, or a request that another site made a browser send", 404: "No such session in this account",
	408: "The body did not arrive in time", 409: "The account changed meanwhile; sign in again", 413: "The body is too long",
	415: "The body is of another type than application/json", 422: "Something in the request cannot be; fields names it. Or the idempotency key was used for something else",
	429: "Too often: failed attempts (throttled), or endings of many sessions (endings_throttled). Nothing was changed; wait retry_after seconds", 500: "A fault of the server. Whether anything was changed is not certain",
	503: "The server cannot tell or cannot record right now; wait retry_after seconds. Repeating an ending is harmless",
}

func problemResponse(status int, schema *huma.Schema) *huma.Response {
	r := &huma.Response{Description: whatStatus[status], Content: map[string]*huma.MediaType{problemType: {Schema: schema}}}
	header := func(name, what string, of *huma.Schema) {
		if r.Headers == nil {
			r.Headers = map[string]*huma.Param{}
		}
		r.Headers[name] = &huma.Param{Description: what, Schema: of}
	}
	switch status {
	case http.StatusUnauthorized:
		header("WWW-Authenticate", "Bearer", &huma.Schema{Type: huma.TypeString})
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header("Retry-After", "Seconds to wait", &huma.Schema{Type: huma.TypeInteger})
	}
	return r
}

// describeStates describes the calls by which an app's page learns how its
// session fares, which another room serves.
func describeStates(o *huma.OpenAPI) {
	schemas := o.Components.Schemas.Map()
	for name, s := range stateSchemas() {
		s.PrecomputeMessages()
		schemas[name] = s
	}
	over := stateResponse("The session has ended, or there is none", schemaOver, `{"state":"ended","reason":"idle","at":"2026-11-23T09:00:00Z"}`)
	unknown := stateResponse("It cannot be known right now: show nothing private, and ask again", schemaUnknown, `{"state":"unknown"}`)
	unknown.Headers = map[string]*huma.Param{"Retry-After": {Description: "Seconds to wait", Schema: &huma.Schema{Type: huma.TypeInteger}}}

	state := operation(http.MethodGet, "/api/v1/session/state", tagState, "get-state", "What is known about the session now", 0)
	state.Description = "Never counts as activity. 401 says ended, 503 says that it cannot be known; neither is a problem document. Times left are in milliseconds."
	state.Responses = map[string]*huma.Response{
		"200": stateResponse("The session is live", schemaLive, `{"state":"live","session":"ses_lq3f6w2kqvxm4u5n7d2a6s7c3e","warnIn":1680000,"idleIn":1800000}`),
		"401": over, "503": unknown,
	}
	follow := operation(http.MethodGet, "/api/v1/session/stream", tagState, "follow-session", "Follow the session until it ends", 0)
	follow.Description = "Server-sent events. state: what /api/v1/session/state answers, at once and whenever it changes; ended is the last. " +
		"changed: the account's list of sessions changed. A comment line every 15 seconds. Never counts as activity. " +
		"503 also when one session follows itself more than 16 times."
	follow.Responses = map[string]*huma.Response{
		"200": {Description: "Events until the session ends", Content: map[string]*huma.MediaType{"text/event-stream": {
			Schema:  &huma.Schema{Type: huma.TypeString},
			Example: "event: state\ndata: {\"state\":\"live\",\"session\":\"ses_lq3f6w2kqvxm4u5n7d2a6s7c3e\",\"warnIn\":1680000,\"idleIn\":1800000}\n\n",
		}}},
		"401": over, "503": unknown,
	}
	log := byKey(operation(http.MethodGet, "/api/v1/events", tagVerifiers, "follow-events", "Follow the event log", 0))
	log.Description = verifierRules
	log.Parameters = []*huma.Param{
		{Name: "epoch", In: "query", Description: "Names the log that the place to go on from is in. Without it reload comes first",
			Schema: &huma.Schema{Type: huma.TypeString}},
		{Name: "after", In: "query", Description: "Number of the last event applied", Schema: &huma.Schema{Type: huma.TypeInteger}},
		{Name: "digest", In: "query", Description: "That event's digest", Schema: &huma.Schema{Type: huma.TypeString}},
		{Name: "beat", In: "query", Description: "100 to 15000; 500 without it", Schema: &huma.Schema{Type: huma.TypeInteger}},
	}
	refs := o.Components.Schemas
	log.Responses = map[string]*huma.Response{
		"200": {Description: "events without end", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{OneOf: []*huma.Schema{
			refs.Schema(reflect.TypeFor[client.Position](), true, ""), refs.Schema(reflect.TypeFor[client.LogEvent](), true, ""),
		}}}}},
		"401": {Description: "no client's key"},
		"503": {Description: "stopping, or too many readers"},
	}
	o.AddOperation(&log)
	o.AddOperation(&state)
	o.AddOperation(&follow)
}

// verifierRules are all that a verifier in any language must do.
const verifierRules = "Server-sent events, for apps that check sessions in their own process and keep what the gate said of them. A " +
	"log event's number is also its SSE id; a message of another name is ignored.\n\n" +
	"A verifier keeps its *place* in the log: epoch, seq and digest of the last event that it applied, and the " +
	"last few thousand events.\n\n" +
	"1. It opens the stream with its place, or without one if it has none. The first message is `same` or " +
	"`reload`, each with a Position.\n" +
	"2. `same`: what follows are the events after its place.\n" +
	"3. `reload`, first or at any time: it forgets every session it keeps, takes the place in the message as its " +
	"own, and goes on from there. The log is another one there, or what followed its place is no longer kept.\n" +
	"4. `log`: a LogEvent. Its number must be the next one. It forgets the sessions that the event is about, as " +
	"`kind` and `scope` say, and moves its place on.\n" +
	"5. `beat`, at least every `beat` milliseconds: a Position. Epoch, seq and digest must be those of its place.\n" +
	"6. Every S/4, where S is its longest staleness, it asks POST /api/v1/events/echo with its place. `same`: it " +
	"may answer from memory until S - age after it *sent* the question, by a steady clock, once it has applied an " +
	"event with the seq *and* the digest in the answer. If the event it has under that seq has another digest, " +
	"that is as `reload`. If it no longer has that event, the answer is of no use. `reload`: it forgets " +
	"everything and opens the stream without a place.\n" +
	"7. At other times, and for a session that it does not know, it asks the gate with its key. It keeps the " +
	"answer if the answer's epoch, seq and digest are those of an event that it has, and no later event is about " +
	"the session. A later event that is: it asks again.\n" +
	"8. A number that is not the next one, or a beat that does not match: it forgets everything and opens the " +
	"stream without a place. Anything else that is not as described here: it answers nothing from memory until " +
	"the next echo, and opens the stream with its place.\n\n" +
	"A reader that stops reading is cut off, and comes back with its place."

func stateSchemas() map[string]*huma.Schema {
	text := func(what string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: what} }
	left := func(what string) *huma.Schema {
		zero := 0.0
		return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &zero, Description: what}
	}
	is := func(s client.Liveness) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Enum: []any{string(s)}}
	}
	object := func(required []string, of map[string]*huma.Schema) *huma.Schema {
		return &huma.Schema{Type: huma.TypeObject, Required: required, Properties: of, AdditionalProperties: false}
	}
	at := text("When")
	at.Format = "date-time"
	return map[string]*huma.Schema{
		schemaLive: object([]string{"state", "session", "warnIn", "idleIn"}, map[string]*huma.Schema{
			"state": is(client.Live), "session": text("What the token stands for: a session, or an app session"),
			"warnIn": left("Milliseconds until a page should warn"), "idleIn": left("Milliseconds until it ends if it stays unused"),
		}),
		schemaOver: object([]string{"state", "reason"}, map[string]*huma.Schema{
			"state": is(client.Over), "reason": text("As in Ended; empty when unknown"), "at": at,
		}),
		schemaUnknown: object([]string{"state"}, map[string]*huma.Schema{"state": is(client.Unknown)}),
	}
}

func stateResponse(what, schema, example string) *huma.Response {
	return &huma.Response{Description: what, Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/" + schema}, Example: json.RawMessage(example)},
	}}
}

// describeGate describes the address that proxies ask, which another room
// serves. It has no bodies: everything is in the headers.
func describeGate(o *huma.OpenAPI) {
	op := operation(http.MethodGet, "/gate", tagGate, "ask-gate", "Is whoever sent this request signed in?", 0)
	op.Description = "For proxies (forward authentication) and apps. The token is the bearer token or, without an Authorization header, " +
		"the one app session's token among the request's cookies. Any method will do, and any host name."
	op.Security = append(op.Security, map[string][]string{"appCookie": {}})
	text := &huma.Schema{Type: huma.TypeString}
	for name, what := range map[string]string{
		client.HeaderClient:   "The app that is guarded: the token of another app is refused",
		client.HeaderActivity: "yes or no: whether a person is at work. Left out, it is judged by what the browser says about the request",
	} {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "header", Description: what, Schema: text})
	}
	headers := func(of map[string]string) map[string]*huma.Param {
		out := map[string]*huma.Param{}
		for name, what := range of {
			out[name] = &huma.Param{Description: what, Schema: text}
		}
		return out
	}
	op.Responses = map[string]*huma.Response{
		"200": {Description: "Signed in", Headers: headers(map[string]string{
			client.HeaderUser: "Handle", client.HeaderName: "Display name, UTF-8", client.HeaderEmail: "E-mail address, only when it is confirmed",
			client.HeaderAccount: "ID of the account", client.HeaderSession: "ID of the session",
			client.HeaderAppSession: "ID of the app session, when the token is one's", client.HeaderClient: "ID of the app, when the token is an app session's",
			client.HeaderIdleAt: "Ends then if it stays unused, in milliseconds since 1970; compare with Date", client.HeaderWarnAt: "A page should warn then, likewise",
		})},
		"401": {Description: "Not signed in", Headers: headers(map[string]string{
			client.HeaderReason: "Why: a reason as in Ended, unknown, or other_client", client.HeaderEndedAt: "When it ended, RFC 3339, if that is known", "WWW-Authenticate": "Bearer",
		})},
		"503": {Description: "It cannot be known right now", Headers: headers(map[string]string{client.HeaderReason: "unavailable", "Retry-After": "Seconds to wait"})},
	}
	o.AddOperation(&op)
}

// refuseOtherMethods answers 405 where an address has calls, but not this one.
// The description knows them all.
func refuseOtherMethods(m *http.ServeMux, o *huma.OpenAPI) {
	for path, item := range o.Paths {
		if path == "/gate" {
			continue // served elsewhere, to any method
		}
		allow := ""
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			if callsOf(item)[method] == nil {
				continue
			}
			if allow != "" {
				allow += ", "
			}
			if allow += method; method == http.MethodGet {
				allow += ", " + http.MethodHead
			}
		}
		m.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow) // RFC 9110 section 15.5.6
			Fail(w, r, http.StatusMethodNotAllowed, errOtherMethod(allow))
		})
	}
}
