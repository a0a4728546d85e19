package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/keys"
)

// The browser's credential is a pair of cookies. The first half is the token, which
// scripts cannot read, so injected script cannot steal the session. The second is
// made from the first and readable, so that "Sign out" can delete it even without
// network. Names begin with __Host-, so no sibling site can set one (RFC 6265bis
// section 4.1.3.2).
//
// Each account that is signed in here has its own pair, see Place.
const (
	cookiePrefix = "__Host-exeunt-" // of all our cookies, and with a place the name of a token
	halfEnding   = "-here"
	// cookieActive lists the places in use, that of the session used last first. It is active: pages are shown for it.
	cookieActive = "__Host-exeunt-active"
	cookieNotice = "__Host-exeunt-notice"
	// cookieTicket is set by the page of a locked browser while a sign-out ticket waits there to be delivered.
	cookieTicket = "__Host-exeunt-ticket"
	// cookieChallenge is the token of the challenge that this browser may answer: the second step of a sign-in.
	cookieChallenge = "__Host-exeunt-challenge"
	// cookieAsked is what this browser's passkeys are asked, sealed.
	cookieAsked = "__Host-exeunt-passkey"
	// cookieCodes are recovery codes that were just made, sealed, until the person says that they are saved.
	cookieCodes = "__Host-exeunt-codes"
	// cookieDevice says what somebody called this device when they signed in last. In a browser that they keep signed in it
	// is a random token, by which the next sign-in is recognised. It names nobody, and proves nothing of who is using it.
	cookieDevice = "__Host-exeunt-device"
	// cookieLanguage is the language that somebody has chosen here, and when.
	cookieLanguage = "__Host-exeunt-language"
)

// Device is what this browser remembers of the choice of device, which is the same for everybody who chose the same.
type Device string

const (
	// DeviceUnknown: the browser sent no such cookie. A browser that has been shown the form and refuses cookies looks
	// so too.
	DeviceUnknown Device = ""
	// DeviceNew: it has been shown the form; nobody has signed in since it was opened.
	DeviceNew Device = "new"
	// DeviceKept and DeviceShared: what was chosen at the last sign-in.
	DeviceKept   = Device(exeunt.KindKept) // instead of which the cookie has the token
	DeviceShared = Device(exeunt.KindShared)
)

// Place is where among the cookies of a browser a session has its pair: under its own ID, so that several tabs may sign in at
// once and no pair takes another's place.
type Place string

// SharedPlace is the place of a session on a shared computer. It is alone there, and browsers write the names of cookies to
// their disk, so its cookies name nothing.
const SharedPlace Place = "shared"

// PlaceOf returns the place of a session.
func PlaceOf(id exeunt.SessionID, kind exeunt.SessionKind) Place {
	if kind == exeunt.KindShared {
		return SharedPlace
	}
	return Place(id.String())
}

// maxPresented bounds the pairs that one browser may present: tabs that sign in at the same moment can pass the policy's
// limit.
const maxPresented = 16

func (p Place) token() string { return cookiePrefix + string(p) }
func (p Place) half() string  { return p.token() + halfEnding }

// session is the session that has its pair there, the zero ID if that is not known from the place.
func (p Place) session() exeunt.SessionID {
	id, err := exeunt.ParseSessionID(string(p))
	if err != nil {
		return exeunt.SessionID{}
	}
	return id
}

func (p Place) valid() bool { return p == SharedPlace || !p.session().IsZero() }

// Presented is the credential that a browser presented at a place: a pair, an incomplete credential, which is a token
// without its second half, or neither.
type Presented struct {
	Place Place
	authority.Credential
	// Garbage: there are cookies, but no credential: they are truncated, changed,
	// foreign, ambiguous, or the readable half alone.
	Garbage bool
}

// Nobody reports that the browser presented nothing at all.
func (p Presented) Nobody() bool { return p.Token.IsZero() && !p.Garbage }

// Cookies reads and writes the browser's cookies.
type Cookies struct {
	Pairs   *keys.Ring // makes second halves
	Notices *keys.Ring // signs notices
	Forms   *keys.Ring // makes the tokens of sessions that a form starts
	Tickets *keys.Ring // makes sign-out tickets
}

// Places returns where the browser presents cookies: of the active session first, and of the others by when they were used.
func (c Cookies) Places(r *http.Request) []Place {
	var have []Place
	for _, line := range r.Header["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(strings.TrimSpace(part), "=")
			at, ours := strings.CutPrefix(strings.TrimSuffix(name, halfEnding), cookiePrefix)
			if p := Place(at); ours && p.valid() && !slices.Contains(have, p) && len(have) < maxPresented {
				have = append(have, p)
			}
		}
	}
	var ordered []Place
	for _, p := range append(readActive(r), have...) {
		if slices.Contains(have, p) && !slices.Contains(ordered, p) {
			ordered = append(ordered, p)
		}
	}
	return ordered
}

// readActive returns what cookieActive lists.
func readActive(r *http.Request) (list []Place) {
	text, _ := Cookie(r, cookieActive)
	for name := range strings.SplitSeq(text, ".") {
		if len(list) < maxPresented {
			list = append(list, Place(name))
		}
	}
	return list
}

// Read returns what the browser presented at a place: nothing, garbage, a pair or an incomplete credential.
func (c Cookies) Read(r *http.Request, at Place) Presented {
	if at == "" {
		return Presented{}
	}
	text, ok := Cookie(r, at.token())
	here, okHere := Cookie(r, at.half())
	if text == "" && here == "" && ok && okHere {
		return Presented{Place: at}
	}
	token, err := exeunt.ParseToken(text)
	if !ok || err != nil || !authority.AsPair.Takes(token) {
		return Presented{Place: at, Garbage: true}
	}
	use := authority.AsPair
	if !okHere || !c.Pairs.IsHalf(token, here) {
		use = authority.AsIncomplete
	}
	return Presented{Place: at, Credential: authority.Credential{Token: token, Use: use}}
}

// OnlyReadable reports that of the pair at a place there is the readable half alone.
func (c Cookies) OnlyReadable(r *http.Request, at Place) bool {
	return len(r.CookiesNamed(at.token())) == 0 && len(r.CookiesNamed(at.half())) > 0
}

// Cookie returns the value of a cookie, "" when there is none. It returns false when
// several differ, because nobody can say which one is ours, and when net/http skips
// a cookie of that name because of bytes that ours never have.
func Cookie(r *http.Request, name string) (value string, ok bool) {
	found := r.CookiesNamed(name)
	for i, c := range found {
		if i > 0 && c.Value != value {
			return "", false
		}
		value = c.Value
	}
	if len(found) == 0 {
		for _, line := range r.Header["Cookie"] {
			if strings.Contains(line, name+"=") {
				return "", false
			}
		}
	}
	return value, true
}

// SetPair gives the browser the credential of a session. On a shared computer the cookies
// have no expiry, so that they go when the browser closes; elsewhere they survive
// that, and the server's own limits decide.
func (c Cookies) SetPair(w http.ResponseWriter, id exeunt.SessionID, t exeunt.Token, kind exeunt.SessionKind, life time.Duration) {
	age := 0
	if kind == exeunt.KindKept {
		age = int(life.Seconds())
	}
	at := PlaceOf(id, kind)
	http.SetCookie(w, HostCookie(at.token(), t.Reveal(), age, true))
	http.SetCookie(w, HostCookie(at.half(), c.Pairs.Half(t), age, false))
}

// SetActive makes the session at a place the active one, before all others that do not go. Their order stays. One that is
// alone needs no cookie for that.
func (c Cookies) SetActive(w http.ResponseWriter, r *http.Request, at Place, gone ...Place) {
	others := c.rest(r, append(gone, at))
	switch {
	case len(others) > 0:
		setActive(w, append([]Place{at}, others...), int(deviceLife.Seconds()))
	case len(r.CookiesNamed(cookieActive)) > 0:
		setActive(w, nil, -1)
	}
}

func setActive(w http.ResponseWriter, list []Place, age int) {
	names := make([]string, len(list))
	for i, at := range list {
		names[i] = string(at)
	}
	http.SetCookie(w, HostCookie(cookieActive, strings.Join(names, "."), age, true))
}

// FormToken is the token of a session that the form with that key starts: at that time: for the same three it is always the same, so
// that the form can be sent twice, and nobody can make it who lacks the form or the server's key.
func (c Cookies) FormToken(key string, id exeunt.SessionID, at time.Time) exeunt.Token {
	return exeunt.TokenFrom(exeunt.UseSession, c.Forms.Sum(fmt.Sprint(id, " ", at.UnixMilli(), " ", key)))
}

// ReadDevice returns what the browser remembers of its device.
func (c Cookies) ReadDevice(r *http.Request) Device {
	v, _ := Cookie(r, cookieDevice)
	switch d := Device(v); {
	case d == DeviceNew, d == DeviceShared:
		return d
	case !c.ReadDeviceToken(r).IsZero():
		return DeviceKept
	}
	return DeviceUnknown
}

// ReadDeviceToken returns the token of a device that somebody keeps signed in, or the zero Token.
func (c Cookies) ReadDeviceToken(r *http.Request) exeunt.Token {
	return tokenIn(r, cookieDevice, exeunt.UseDevice)
}

// tokenIn is the token of that use in a cookie, or the zero Token.
func tokenIn(r *http.Request, cookie string, use exeunt.TokenUse) exeunt.Token {
	text, ok := Cookie(r, cookie)
	t, err := exeunt.ParseToken(text)
	if !ok || err != nil || t.Use() != use {
		return exeunt.Token{}
	}
	return t
}

// SetDevice has the browser remember, until it closes. A token that it had is gone.
func (c Cookies) SetDevice(w http.ResponseWriter, d Device) {
	http.SetCookie(w, HostCookie(cookieDevice, string(d), 0, true))
}

// deviceLife is for how long a browser keeps its token; each sign-in begins it anew.
const deviceLife = 365 * 24 * time.Hour

// SetDeviceToken has a browser that somebody keeps signed in remember its token.
func (c Cookies) SetDeviceToken(w http.ResponseWriter, t exeunt.Token) {
	http.SetCookie(w, HostCookie(cookieDevice, t.Reveal(), int(deviceLife.Seconds()), true))
}

// NewDeviceToken is the token of a browser that has none. For the same form it is the same, so that the form can be sent
// twice; nobody without the server's key can make it.
func (c Cookies) NewDeviceToken(key string) exeunt.Token {
	if key == "" {
		return exeunt.NewToken(exeunt.UseDevice)
	}
	return exeunt.TokenFrom(exeunt.UseDevice, c.Forms.Sum("device "+key))
}

// ResetToken is the token of the link for a new password that somebody gets who has disowned a sign-in by a mail's link.
// For the same link it is the same, so that the page can be loaded again.
func (c Cookies) ResetToken(link exeunt.Token) exeunt.Token {
	return exeunt.TokenFrom(exeunt.UseInvite, c.Forms.Sum("reset "+link.Reveal()))
}

// Forget tells the browser to delete the credentials at some places by name, and the origin's storage if nothing else needs it.
// Call it only after an ending has been recorded, or if the browser has nothing usable there. It does not send
// Clear-Site-Data: "cookies", with which Chromium deletes the cookies of every site under the same registrable domain.
func (c Cookies) Forget(w http.ResponseWriter, r *http.Request, places ...Place) {
	c.ForgetPairs(w, r, places...)
	c.ClearStorage(w, r, places...)
}

// ForgetPairs is Forget for a browser that stays in use: its storage stays.
func (c Cookies) ForgetPairs(w http.ResponseWriter, r *http.Request, places ...Place) {
	for _, at := range places {
		http.SetCookie(w, HostCookie(at.token(), "", -1, true))
		http.SetCookie(w, HostCookie(at.half(), "", -1, false))
	}
	if len(c.rest(r, places)) > 0 {
		return
	}
	for _, name := range []string{cookieActive, cookieUsed} {
		if len(r.CookiesNamed(name)) > 0 {
			http.SetCookie(w, HostCookie(name, "", -1, true))
		}
	}
}

// ClearStorage has the browser clear the origin's storage, unless something else needs it. It is for a page after Forget:
// the answer to the form passes through the service worker, and Chromium, which removes the worker before it
// hands that answer on, would then wait for ever.
func (c Cookies) ClearStorage(w http.ResponseWriter, r *http.Request, without ...Place) {
	// Another account is signed in, a sign-out ticket waits in the storage, or the service worker passes this answer on.
	if !ThroughWorker(r) && len(c.rest(r, without)) == 0 && len(r.CookiesNamed(cookieTicket)) == 0 {
		w.Header().Set("Clear-Site-Data", `"storage"`)
	}
}

// rest are the places in use without those.
func (c Cookies) rest(r *http.Request, without []Place) []Place {
	return slices.DeleteFunc(c.Places(r), func(at Place) bool { return slices.Contains(without, at) })
}

// headerWorker is set by the service worker in a form without ticket that it passes on.
const headerWorker = "Exeunt-Worker"

// ThroughWorker reports whether the service worker passes the answer to a form on.
func ThroughWorker(r *http.Request) bool {
	return r.PostForm.Get("ticket") != "" || r.Header.Get(headerWorker) != ""
}

// HostCookie is a cookie of this host alone, which no neighbouring host can set (RFC 6265bis section 4.1.3.2). It goes when the
// browser closes if maxAge is 0, and at once if it is negative.
func HostCookie(name, value string, maxAge int, httpOnly bool) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: httpOnly, SameSite: http.SameSiteLaxMode,
	}
}

// noticeLife is how long the page after a sign-out can be reloaded and still say what
// was done.
const noticeLife = 5 * time.Minute

// LeaveNotice leaves a notice in the browser that tells the next page what was done.
// It names nobody, goes when the browser closes, and is valid for noticeLife. It is
// signed, so that nobody else can make a page say "signed out".
func (c Cookies) LeaveNotice(w http.ResponseWriter, text string, now time.Time) {
	dated := strconv.FormatInt(now.UnixMilli(), 36) + "." + text
	http.SetCookie(w, HostCookie(cookieNotice, c.Notices.Code(dated)+"."+dated, 0, true))
}

// ReadNotice returns the notice, or "" when there is none, or it is forged or old.
func (c Cookies) ReadNotice(r *http.Request, now time.Time) string {
	v, ok := Cookie(r, cookieNotice)
	if !ok {
		return ""
	}
	code, dated, ok := strings.Cut(v, ".")
	if !ok || !c.Notices.IsCode(dated, code) {
		return ""
	}
	when, text, _ := strings.Cut(dated, ".")
	ms, err := strconv.ParseInt(when, 36, 64)
	if age := now.Sub(time.UnixMilli(ms)); err != nil || age < 0 || age > noticeLife {
		return ""
	}
	return text
}

// ClearNotice removes the notice.
func (c Cookies) ClearNotice(w http.ResponseWriter) {
	http.SetCookie(w, HostCookie(cookieNotice, "", -1, true))
}

// SetChallenge gives the browser the challenge of a sign-in, instead of an earlier one. It goes when the browser closes.
func (c Cookies) SetChallenge(w http.ResponseWriter, t exeunt.Token) {
	http.SetCookie(w, HostCookie(cookieChallenge, t.Reveal(), 0, true))
}

// ReadChallenge returns the challenge that the browser presents, or the zero Token.
func (c Cookies) ReadChallenge(r *http.Request) exeunt.Token {
	return tokenIn(r, cookieChallenge, exeunt.UseChallenge)
}

// ClearChallenge removes the challenge.
func (c Cookies) ClearChallenge(w http.ResponseWriter) {
	http.SetCookie(w, HostCookie(cookieChallenge, "", -1, true))
}

// SetAsked has the browser keep what its passkeys are asked, until it closes.
func (c Cookies) SetAsked(w http.ResponseWriter, t exeunt.Token, expires time.Time) error {
	sealed, err := c.Forms.Seal("passkey", []byte(strconv.FormatInt(expires.UnixMilli(), 36)+" "+t.Reveal()))
	if err == nil {
		http.SetCookie(w, HostCookie(cookieAsked, sealed, 0, true))
	}
	return err
}

// ReadAsked returns what SetAsked was given; the zero Token when the browser brings none.
func (c Cookies) ReadAsked(r *http.Request) (exeunt.Token, time.Time) {
	sealed, _ := Cookie(r, cookieAsked)
	text, ok := c.Forms.Open("passkey", sealed)
	when, what, _ := strings.Cut(string(text), " ")
	ms, malformed := strconv.ParseInt(when, 36, 64)
	t, err := exeunt.ParseToken(what)
	if !ok || malformed != nil || err != nil {
		return exeunt.Token{}, time.Time{}
	}
	return t, time.UnixMilli(ms)
}

// SealForm seals what a form keeps for us between showing it and sending it. Only OpenForm with the same purpose opens it.
func (c Cookies) SealForm(purpose string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return c.Forms.Seal(purpose, text)
}

// OpenForm reads what SealForm sealed, and returns false for anything else.
func (c Cookies) OpenForm(purpose, sealed string, v any) bool {
	text, ok := c.Forms.Open(purpose, sealed)
	return ok && json.Unmarshal(text, v) == nil
}

// SetLanguage has the browser remember the language that somebody has chosen: for a year, or until it closes if it is not
// theirs alone. "" forgets the choice.
func (c Cookies) SetLanguage(w http.ResponseWriter, tag string, at time.Time, shared bool) {
	age := int(deviceLife.Seconds())
	switch {
	case tag == "":
		age = -1
	case shared:
		age = 0
	}
	http.SetCookie(w, HostCookie(cookieLanguage, tag+"."+strconv.FormatInt(at.UnixMilli(), 36), age, true))
}

// ReadLanguage returns the language and when it was chosen; "" when none was.
func (c Cookies) ReadLanguage(r *http.Request) (tag string, at time.Time) {
	v, _ := Cookie(r, cookieLanguage)
	tag, when, _ := strings.Cut(v, ".")
	ms, err := strconv.ParseInt(when, 36, 64)
	if err != nil || len(tag) > maxLanguage {
		return "", time.Time{}
	}
	return tag, time.UnixMilli(ms)
}

// maxLanguage is the length of the longest tag that is read.
const maxLanguage = 20

// SetCodes has the browser keep sealed recovery codes for the page that shows them, until it closes.
func (c Cookies) SetCodes(w http.ResponseWriter, sealed string) {
	http.SetCookie(w, HostCookie(cookieCodes, sealed, 0, true))
}

// ReadCodes returns the sealed codes, "" when there are none.
func (c Cookies) ReadCodes(r *http.Request) string {
	sealed, _ := Cookie(r, cookieCodes)
	return sealed
}

// ClearCodes removes them.
func (c Cookies) ClearCodes(w http.ResponseWriter) {
	http.SetCookie(w, HostCookie(cookieCodes, "", -1, true))
}
