package fanout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strconv"
	"strings"

	"github.com/exeunt/exeunt"
)

const (
	maxAnswer = 1 << 20 // bytes that are read of an answer in which something is looked for
	maxFound  = 100     // values in one answer
	maxValue  = 512     // bytes of one
)

// What went wrong otherwise than at the connection, as words.
const (
	badAnswer = "answer"     // it is not JSON, too long, or has not what is looked for
	tooMany   = "too_many"   // values were found; the next attempt has what is left
	badValue  = "value"      // what somebody is called cannot stand in a request
	noEmail   = "no_email"   // the app knows somebody by an address, and there is no confirmed one
	noAccount = "no_account" // it is gone
	badSecret = "secret"     // it was sealed by another master key
)

// forGood are errors that another attempt would have, too.
var forGood = []string{notRegistered, badValue, noEmail, noAccount}

// Purpose is what a connector's secret is sealed for.
func Purpose(id exeunt.ClientID) string { return "connector of " + string(id) }

// connect ends what somebody has in an app by its API. The account is there: it is not deleted as long as an app must
// still be told. So the app is asked about the handle and address that it has now.
func (s *Service) connect(ctx context.Context, d exeunt.Delivery, c *exeunt.Connector) answer {
	a, err := s.Store.Account(ctx, d.Account)
	switch {
	case errors.Is(err, exeunt.ErrNotFound):
		return answer{err: noAccount}
	case err != nil:
		return answer{err: "database"}
	}
	f := exeunt.Filling{"handle": a.Handle, "account": a.ID.String()}
	if a.EmailConfirmed {
		f["email"] = a.Email
	}
	if c.Sealed != nil {
		secret, err := s.Open(Purpose(c.Client), c.Sealed)
		if err != nil {
			return answer{err: badSecret}
		}
		f["secret"] = string(secret)
	}
	return s.act(ctx, c, f)
}

// act carries out a connector's steps. Each request may be repeated after a crash or failure: the next attempt begins
// with the first step, and finds what is left.
func (s *Service) act(ctx context.Context, c *exeunt.Connector, f exeunt.Filling) answer {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	client := *s.client
	client.Jar, _ = cookiejar.New(nil) // for an API that begins with a sign-in; gone after the attempt
	found, failed := []string{""}, ""
	for i := range c.Steps {
		step, next := &c.Steps[i], []string{}
		for _, v := range found {
			f["found"] = v
			got, err := s.call(ctx, &client, c, step, f)
			if err != "" {
				failed = err
				continue
			}
			next = append(next, got...)
		}
		// Of the last step, all are tried: one that fails keeps no other from being ended.
		if failed != "" && failed != tooMany {
			break
		}
		if step.Find == "" {
			continue
		}
		slices.Sort(next)
		if found = slices.Compact(next); len(found) == 0 {
			return answer{confirmed: true} // there is nobody of that name, or nothing of theirs
		}
		if len(found) > maxFound {
			found, failed = found[:maxFound], tooMany
		}
	}
	return answer{confirmed: failed == "", err: failed}
}

// call makes a request and returns what it found, or what went wrong as a word.
func (s *Service) call(
	ctx context.Context, client *http.Client, c *exeunt.Connector, step *exeunt.Step, f exeunt.Filling,
) (found []string, failed string) {
	in, err := c.Fill(step, f)
	if err != nil {
		if usesEmail(step) && f["email"] == "" {
			return nil, noEmail
		}
		return nil, badValue
	}
	req, err := http.NewRequestWithContext(ctx, step.Verb(), in.URL, strings.NewReader(in.Body))
	if err != nil {
		return nil, "address"
	}
	req.Header.Set("User-Agent", "Exeunt")
	req.Header.Set("Accept", "application/json")
	for _, h := range in.Headers {
		req.Header.Set(h[0], h[1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, classOf(err)
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound && step.Find != "":
		return nil, ""
	case !step.Succeeded(code):
		return nil, "http_" + strconv.Itoa(code)
	case step.Find == "":
		return nil, "" // unread: the status says all
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, classOf(err)
	case len(text) > maxAnswer:
		return nil, badAnswer
	}
	equals, err := step.EqualsTo(f)
	if err != nil {
		return nil, badValue
	}
	found, ok := find(text, step, equals)
	if !ok {
		return nil, badAnswer
	}
	return found, ""
}

func usesEmail(s *exeunt.Step) bool {
	return slices.ContainsFunc(append([]string{s.URL, s.Body, s.Equals}, s.Headers...),
		func(text string) bool { return strings.Contains(text, "{email}") })
}

// find looks for values in an answer. It is not ok if the answer has not the shape that the step says.
func find(text []byte, step *exeunt.Step, equals string) (found []string, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var all any
	if d.Decode(&all) != nil {
		return nil, false
	}
	in, ok := pointed(all, step.List)
	if !ok {
		return nil, false
	}
	items, isList := in.([]any)
	if !isList {
		items = []any{in}
	}
	for _, item := range items {
		if step.Where != "" {
			v, there := pointed(item, step.Where)
			if text, is := plain(v); !there || !is || !strings.EqualFold(text, equals) {
				continue
			}
		}
		v, there := pointed(item, step.Find)
		value, is := plain(v)
		if !there || !is || value == "" || len(value) > maxValue {
			return nil, false
		}
		found = append(found, value)
	}
	return found, true
}

// pointed returns what a JSON pointer points to (RFC 6901 section 4).
func pointed(v any, pointer string) (any, bool) {
	if pointer == "" {
		return v, true
	}
	for _, name := range strings.Split(pointer[1:], "/") {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		switch in := v.(type) {
		case map[string]any:
			of, there := in[name]
			if !there {
				return nil, false
			}
			v = of
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(in) || strconv.Itoa(i) != name {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// plain returns a text or number as a text.
func plain(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}
