package demo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// recorder keeps every byte that an authority gets and sends.
type recorder struct {
	net.Listener
	mu    sync.Mutex
	conns []*recorded
}

type recorded struct {
	net.Conn
	mu       sync.Mutex
	got, put bytes.Buffer
}

func (r *recorder) Accept() (net.Conn, error) {
	c, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	out := &recorded{Conn: c}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, out)
	return out, nil
}

func (c *recorded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got.Write(b[:n])
	return n, err
}

func (c *recorded) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put.Write(b[:n])
	return n, err
}

// exchange is a request and its answer.
type exchange struct {
	*http.Request
	form   url.Values // of the body, if it is a form
	said   string     // the request's body
	answer *http.Response
	body   string
}

// exchanges takes apart what was recorded. The last exchange of a connection may be incomplete.
func (r *recorder) exchanges() (out []exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.mu.Lock()
		got, put := bufio.NewReader(bytes.NewReader(c.got.Bytes())), bufio.NewReader(bytes.NewReader(c.put.Bytes()))
		c.mu.Unlock()
		for {
			var x exchange
			var err error
			if x.Request, err = http.ReadRequest(got); err != nil {
				break
			}
			said, _ := io.ReadAll(x.Body)
			x.said = string(said)
			if strings.HasPrefix(x.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
				x.form, _ = url.ParseQuery(x.said)
			}
			if x.answer, err = http.ReadResponse(put, x.Request); err != nil {
				break
			}
			x.body = readBody(x.answer)
			out = append(out, x)
		}
	}
	return out
}

func readBody(r *http.Response) string {
	b, _ := io.ReadAll(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		if z, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
			b, _ = io.ReadAll(z)
		}
	}
	return string(b)
}

// secretKinds are what the authority hands out or is given, and with which somebody could do something: how it is found
// in an exchange, and how many different ones the test's run has at least. A code of an authenticator app is too short to
// search for, and of no use after a minute and a half. A device's user code is stored as it is: it opens nothing, since
// whoever types it gives their own account away to the device that shows it.
var secretKinds = []struct {
	kind  string
	least int
	find  func(x exchange) []string
}{
	{"password", 5, func(x exchange) []string {
		return append(fields("password", "current")(x), inJSON("password").said(x)...)
	}},
	{"challenge of a sign-in", 3, func(x exchange) []string {
		return challenges.FindAllString(fmt.Sprint(x.answer.Header, x.body), -1)
	}},
	{"client secret", 2, func(x exchange) []string {
		_, basic, _ := x.BasicAuth()
		return append(fields("client_secret")(x), basic)
	}},
	{"cookie", 20, func(x exchange) (out []string) {
		for _, c := range x.answer.Cookies() {
			if len(c.Value) >= 20 { // the others say "kept", or which account is active
				out = append(out, c.Value)
			}
		}
		return out
	}},
	{"bearer token", 30, func(x exchange) []string {
		bearer, _ := strings.CutPrefix(x.Header.Get("Authorization"), "Bearer ")
		return append(inJSON("token").answered(x), bearer)
	}},
	{"access token", 4, inJSON("access_token").answered},
	{"refresh token", 3, func(x exchange) (out []string) {
		for _, t := range inJSON("refresh_token").answered(x) {
			out = append(out, t, t[len(t)-43:]) // its authentication code alone, too
		}
		return out
	}},
	{"ID token", 3, func(x exchange) (out []string) {
		for _, t := range inJSON("id_token").answered(x) {
			out = append(out, t, t[strings.LastIndexByte(t, '.')+1:]) // its signature alone, too
		}
		return out
	}},
	{"code", 4, func(x exchange) []string {
		to, err := x.answer.Location()
		if err != nil {
			return nil
		}
		return []string{to.Query().Get("code")}
	}},
	{"code verifier", 3, fields("code_verifier")},
	{"device code", 2, inJSON("device_code").answered},
	{"recovery code", 20, func(x exchange) (out []string) {
		if x.URL.Path != "/security/codes/text" {
			return nil
		}
		for _, code := range recoveryCodes.FindAllString(x.body, -1) {
			out = append(out, code, strings.ReplaceAll(code[2:], "-", "")) // as it is hashed, too
		}
		return out
	}},
	{"secret of an authenticator app", 1, func(x exchange) []string {
		if m := shownSecret.FindStringSubmatch(x.body); m != nil && x.URL.Path == "/security/app" {
			return []string{m[1], strings.ReplaceAll(m[1], " ", "")}
		}
		return nil
	}},
	{"sealed form", 1, fields("setup")},
	{"one-time link", 3, func(x exchange) []string {
		return []string{oneTime.FindString(x.URL.Path), strings.TrimPrefix(oneTime.FindString(x.URL.Path), "/reset/")}
	}},
}

// refreshPrefix begins refresh tokens, which have what they are about in front of their authentication code.
const refreshPrefix = "exr_"

var (
	recoveryCodes = regexp.MustCompile(`(?m)^[0-9](-[0-9a-z]{4}){3}`)
	shownSecret   = regexp.MustCompile(`<code dir="ltr">([A-Z2-7 ]+)</code>`)
	challenges    = regexp.MustCompile(`exh_[0-9A-Za-z_-]+`)
	oneTime       = regexp.MustCompile(`^/(reset|setup|confirm|undo|not-me)/.+`)
)

// fields finds what forms had.
func fields(names ...string) func(x exchange) []string {
	return func(x exchange) (out []string) {
		for _, name := range names {
			out = append(out, x.form.Get(name))
		}
		return out
	}
}

// inJSON finds the values of a name.
type inJSON string

func (name inJSON) in(text string) (out []string) {
	for _, m := range regexp.MustCompile(`"`+string(name)+`":\s*"([^"]+)"`).FindAllStringSubmatch(text, -1) {
		out = append(out, html.UnescapeString(m[1]))
	}
	return out
}

func (name inJSON) said(x exchange) []string     { return name.in(x.said) }
func (name inJSON) answered(x exchange) []string { return name.in(x.body) }

// tokenLen is the length of a token of ours.
const tokenLen = 53

// spellings are the ways in which a secret may be written: as it is, what it encodes, and both encoded.
func spellings(secret string) (out [][]byte) {
	values := [][]byte{[]byte(secret)}
	if len(secret) == tokenLen && secret[3] == '_' { // one of ours: a prefix, random digits, and a checksum
		digits := secret[4 : tokenLen-6]
		n, ok := new(big.Int).SetString(digits, 62)
		if values = append(values, []byte(digits)); ok && n.BitLen() <= 256 {
			values = append(values, n.FillBytes(make([]byte, 32)))
		}
	}
	for _, decode := range []func(string) ([]byte, error){
		base64.RawURLEncoding.DecodeString, base64.RawStdEncoding.DecodeString, hex.DecodeString,
		base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString,
	} {
		if b, err := decode(secret); err == nil && len(b) >= 16 {
			values = append(values, b)
		}
	}
	for _, v := range values {
		encoded := base64.RawStdEncoding.EncodeToString(v)
		out = append(out, v, []byte(hex.EncodeToString(v)), []byte(strings.ToUpper(hex.EncodeToString(v))), []byte(encoded),
			[]byte(base64.RawURLEncoding.EncodeToString(v)), []byte(url.QueryEscape(string(v))))
	}
	return out
}
