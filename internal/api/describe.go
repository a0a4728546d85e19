package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
)

// The schemas of the description that do not come from a call's types.
const (
	schemaProblem = "Problem"
	schemaLive    = "LiveState"
	schemaOver    = "EndedState"
	schemaUnknown = "UnknownState"
)

// describe corrects and completes the description: huma would describe its own errors,
// and it does not know the calls that other packages serve.
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
	for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post,
		http.MethodDelete: item.Delete} {
		if op != nil {
			calls[method] = op
		}
	}
	return calls
}

// statusesOf are the problems a call may answer with: its own, and those of every call,
// which are a forged request (403), an internal error (500), and a store that is away (503).
func statusesOf(path, method string) []int {
	own := map[string][]int{
		"POST /api/v1/signin":          {400, 401, 408, 409, 413, 415, 422, 429},
		"POST /api/v1/signin/answer":   {400, 401, 408, 409, 413, 415, 422, 429},
		"GET /api/v1/session":          {401, 409},
		"DELETE /api/v1/session":       {401, 409, 422},
		"GET /api/v1/sessions":         {400, 401, 403, 409, 422, 429},
		"DELETE /api/v1/sessions":      {401, 409, 422, 429},
		"DELETE /api/v1/sessions/{id}": {401, 404, 409, 422, 429},
		"POST /api/v1/events/echo":     {400, 401, 408, 413, 415, 422},
		"POST /api/v1/activity":        {400, 401, 408, 413, 415, 422},
	}[method+" "+path]
	if method != http.MethodGet {
		own = append(own, http.StatusForbidden)
	}
	return append(own, http.StatusInternalServerError, http.StatusServiceUnavailable)
}

// whatStatus says what each status means here.
var whatStatus = map[int]string{
	400: "The body is not valid JSON, or after was not given by this list",
	401: "Not signed in: no token, a wrong password, or a session that has ended; or not the client's key",
	403: "No permission, a disabled account, or a request that another site made a browser send",
	404: "The account has no such session",
	408: "The body did not arrive in time",
	409: "The account changed during the sign-in; sign in again. Or renewed: the session has had another token for a " +
		"moment, nothing was changed; use that one",
	413: "The body is too long",
	415: "The body's type is not application/json",
	422: "Invalid values, which fields lists, or an idempotency key that was used for something else",
	429: "Done too often lately, as code says: failed sign-ins (throttled), sign-ins (sign_ins_throttled), endings of " +
		"many sessions (endings_throttled), endings of one other session (single_endings_throttled) or open streams " +
		"(streams_throttled). Nothing was changed; wait retry_after seconds",
	500: "An internal error. It is uncertain whether anything was changed",
	503: "The server cannot check or record anything right now; wait retry_after seconds. Repeating an ending is " +
		"harmless",
}

func problemResponse(status int, schema *huma.Schema) *huma.Response {
	r := &huma.Response{Description: whatStatus[status],
		Content: map[string]*huma.MediaType{problemType: {Schema: schema}}}
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

// describeStates describes the calls by which an app's page learns the state of its
// session, which package stream serves.
func describeStates(o *huma.OpenAPI) {
	schemas := o.Components.Schemas.Map()
	for name, s := range stateSchemas() {
		s.PrecomputeMessages()
		schemas[name] = s
	}
	over := stateResponse("The session has ended, or there is none", schemaOver,
		`{"state":"ended","reason":"idle","at":"2026-11-23T09:00:00Z"}`)
	unknown := stateResponse("The server cannot tell right now: show nothing private, and ask again", schemaUnknown,
		`{"state":"unknown"}`)
	unknown.Headers = map[string]*huma.Param{
		"Retry-After": {Description: "Seconds to wait", Schema: &huma.Schema{Type: huma.TypeInteger}},
	}

	state := operation(http.MethodGet, "/api/v1/session/state", tagState, "get-state", "The state of the session", 0)
	state.Description = "Never counts as activity. 401 means ended, and 503 that the server cannot tell; neither is " +
		"a problem document. Times left are in milliseconds."
	state.Responses = map[string]*huma.Response{
		"200": stateResponse("The session is live", schemaLive,
			`{"state":"live","session":"ses_lq3f6w2kqvxm4u5n7d2a6s7c3e","warnIn":1680000,"idleIn":1800000}`),
		"401": over, "503": unknown,
	}
	follow := operation(http.MethodGet, "/api/v1/session/stream", tagState, "follow-session",
		"Follow the session until it ends", 0)
	follow.Description = "Server-sent events. state: what /api/v1/session/state answers, at once and whenever it " +
		"changes; ended is the last. changed: the account's list of sessions changed. A comment line every 15 " +
		"seconds. Never counts as activity. Also 429 if one session has more than 16 streams, " +
		"or one account more than 100; then ask /api/v1/session/state instead."
	follow.Responses = map[string]*huma.Response{
		"200": {Description: "Events until the session ends", Content: map[string]*huma.MediaType{"text/event-stream": {
			Schema: &huma.Schema{Type: huma.TypeString},
			Example: "event: state\n" +
				"data: " +
				`{"state":"live","session":"ses_lq3f6w2kqvxm4u5n7d2a6s7c3e","warnIn":1680000,"idleIn":1800000}` + "\n\n",
		}}},
		"401": over, "429": {Description: whatStatus[429]}, "503": unknown,
	}
	log := byKey(operation(http.MethodGet, "/api/v1/events", tagVerifiers, "follow-events", "Follow the event log", 0))
	log.Description = verifierRules
	log.Parameters = []*huma.Param{
		{Name: "epoch", In: "query", Description: "Names the log of the place. Without it, the first message is reload",
			Schema: &huma.Schema{Type: huma.TypeString}},
		{Name: "after", In: "query", Description: "Number of the last event applied",
			Schema: &huma.Schema{Type: huma.TypeInteger}},
		{Name: "digest", In: "query", Description: "That event's digest", Schema: &huma.Schema{Type: huma.TypeString}},
		{Name: "beat", In: "query", Description: "Milliseconds between beats, 100 to 15000; 500 if absent",
			Schema: &huma.Schema{Type: huma.TypeInteger}},
	}
	refs := o.Components.Schemas
	log.Responses = map[string]*huma.Response{
		"200": {Description: "Events without end", Content: map[string]*huma.MediaType{"text/event-stream": {
			Schema: &huma.Schema{OneOf: []*huma.Schema{
				refs.Schema(reflect.TypeFor[client.Position](), true, ""),
				refs.Schema(reflect.TypeFor[client.LogEvent](), true, ""),
			}},
		}}},
		"401": {Description: "Not the key of a client"},
		"429": {Description: "The client has too many readers"},
		"503": {Description: "The server is stopping, or has too many streams"},
	}
	o.AddOperation(&log)
	o.AddOperation(&state)
	o.AddOperation(&follow)
	closing := operation(http.MethodPost, "/api/v1/session/closing", tagState, "page-closed",
		"A page on a shared computer was closed", 0)
	closing.Description = "If nothing is heard of a session on a shared computer for a minute after its last page was closed, " +
		"it ends; any use of it, and any open page that asks for its state, lifts that. A hint: of any other session, and " +
		"without a usable token, it does nothing. Never counts as activity."
	closing.Responses = map[string]*huma.Response{"204": {Description: "Heard"}}
	o.AddOperation(&closing)
}

// verifierRules are all the rules for a verifier in any language.
const verifierRules = "Server-sent events, for apps that check sessions in their own process and remember the " +
	"gate's answers about them. A log event's number is also its SSE id. Messages with other names are ignored.\n\n" +
	"A verifier remembers its *place* in the log, which is the epoch, seq and digest of the last event that it " +
	"applied, and the last few thousand events.\n\n" +
	"1. It opens the stream with its place, or without one if it has none. The first message is `same` or " +
	"`reload`, each with a Position.\n" +
	"2. `same`: the events after its place follow.\n" +
	"3. `reload`, first or at any time: it forgets every session, takes the place in the message as its own, and " +
	"continues from there. The node has another log, or no longer has the events after its place.\n" +
	"4. `log`: a LogEvent. Its number must be the next one. The verifier forgets the sessions that the event is " +
	"about, as `kind` and `scope` say, and advances its place.\n" +
	"5. `beat`, at least every `beat` milliseconds: a Position. Epoch, seq and digest must be those of its place.\n" +
	"6. Every S/4, where S is its longest staleness, it asks POST /api/v1/events/echo with its place. `same`: it " +
	"may answer from memory until S - age after it *sent* the question, by a steady clock, once it has applied an " +
	"event with the seq *and* the digest in the answer. If its event with that seq has another digest, it treats " +
	"the answer as `reload`. If it no longer has that event, it ignores the answer. `reload`: it forgets " +
	"everything and opens the stream without a place.\n" +
	"7. At other times, and for a session that it does not remember, it asks the gate with its key. It remembers " +
	"the answer if the answer's epoch, seq and digest are those of an event that it has. If a later event is about " +
	"the session, it asks again instead.\n" +
	"8. After a number that is not the next one, or a beat that does not match, it forgets everything and opens " +
	"the stream without a place. After anything else that is not described here, it answers nothing from memory " +
	"until the next echo, and opens the stream with its place.\n\n" +
	"A reader that stops reading is disconnected; it comes back with its place."

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
			"state": is(client.Live), "session": text("ID of the token's session or app session"),
			"warnIn": left("Milliseconds until a page should warn"),
			"idleIn": left("Milliseconds until it expires if it stays unused"),
			"shared": {Type: huma.TypeBoolean, Description: "true: on a shared computer, where pages have the strip; absent otherwise"},
		}),
		schemaOver: object([]string{"state", "reason"}, map[string]*huma.Schema{
			"state": is(client.Over), "reason": text("As in Ended; empty when unknown"), "at": at,
		}),
		schemaUnknown: object([]string{"state"}, map[string]*huma.Schema{"state": is(client.Unknown)}),
	}
}

func stateResponse(what, schema, example string) *huma.Response {
	return &huma.Response{Description: what, Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/" + schema},
			Example: json.RawMessage(example)},
	}}
}

// describeGate describes the address that proxies ask, which package gate serves. It has
// no bodies: everything is in the headers.
func describeGate(o *huma.OpenAPI) {
	const summary = "Check whether a request is signed in"
	ofClient := operation(http.MethodGet, "/gate/{client}", tagGate, "ask-gate-of-client", summary+" to an app", 0)
	ofClient.Parameters = append(ofClient.Parameters, &huma.Param{
		Name: "client", In: "path", Required: true, Description: "ID of the app; tokens of other apps are refused",
		Schema: &huma.Schema{Type: huma.TypeString},
	})
	for _, op := range []huma.Operation{operation(http.MethodGet, "/gate", tagGate, "ask-gate", summary, 0), ofClient} {
		describeGateCall(o, op)
	}
}

func describeGateCall(o *huma.OpenAPI, op huma.Operation) {
	op.Description = "For proxies (forward authentication) and apps. The token is the bearer token or, without an " +
		"Authorization header, the only app session's token among the cookies. Whoever asks about an app session " +
		"names its app: in the address, in " + client.HeaderClient + ", or with the app's key in " +
		client.HeaderClientKey + ". A session's own token is accepted where the address and the header name no app. " +
		"It accepts any method and any host name."
	op.Security = append(op.Security, map[string][]string{"appCookie": {}})
	text := &huma.Schema{Type: huma.TypeString}
	for _, h := range []struct{ name, what string }{
		{client.HeaderClient, "ID of the app; tokens of other apps are refused"},
		{client.HeaderClientKey, "The app's key. The answer then has what a verifier needs"},
		{client.HeaderActivity, "yes or no: whether the request is a person's activity. If absent, the browser's headers decide"},
	} {
		op.Parameters = append(op.Parameters, &huma.Param{Name: h.name, In: "header", Description: h.what, Schema: text})
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
			client.HeaderUser:       "Handle",
			client.HeaderName:       "Display name, UTF-8",
			client.HeaderEmail:      "E-mail address, empty unless it is confirmed",
			client.HeaderGroups:     "Names of the groups that the account is in, sorted, with commas between them; empty if there are none",
			client.HeaderAccount:    "ID of the account",
			client.HeaderSession:    "ID of the session",
			client.HeaderAppSession: "ID of the app session, empty for a session's own token",
			client.HeaderClient:     "ID of the app, empty for a session's own token",
			client.HeaderKind:       "Kind of the session: kept, shared (a shared computer) or app",
			client.HeaderIdleAt:     "When it expires if unused, in milliseconds since 1970; compare with Date",
			client.HeaderWarnAt:     "When a page should warn, likewise",
		})},
		"401": {Description: "Not signed in", Headers: headers(map[string]string{
			client.HeaderReason:  "Why: a reason as in Ended, unknown, or other_client",
			client.HeaderEndedAt: "When it ended, RFC 3339, if there is a record of it", "WWW-Authenticate": "Bearer",
		})},
		"403": {Description: "Nothing is said about the session", Headers: headers(map[string]string{
			client.HeaderReason: "no_client: no app is named. no_such_client: no app of that name is registered. client_key: the key is unknown. plain_http: the proxy " +
				"says that the request came without TLS",
		})},
		"503": {Description: "The server cannot tell right now", Headers: headers(map[string]string{
			client.HeaderReason: "unavailable", "Retry-After": "Seconds to wait",
		})},
	}
	o.AddOperation(&op)
}

// refuseOtherMethods answers 405 to the methods that the description does not list.
func refuseOtherMethods(m *http.ServeMux, o *huma.OpenAPI) {
	for path, item := range o.Paths {
		if strings.HasPrefix(path, "/gate") {
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
			Fail(w, r, http.StatusMethodNotAllowed, &exeunt.Error{
				Code: "method_not_allowed", Message: "Method not allowed: use " + allow + ".",
			})
		})
	}
}
