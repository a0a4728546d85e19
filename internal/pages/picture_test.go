package pages

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/web"
)

const pictureForm = "/settings/picture"

// photo is an image file of one colour.
func photo(t testing.TB, c color.Color) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 600, 400))
	for i := range m.Pix {
		r, g, b, _ := c.RGBA()
		m.Pix[i] = [4]byte{byte(r >> 8), byte(g >> 8), byte(b >> 8), 255}[i%4]
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var red, blue = color.RGBA{200, 20, 20, 255}, color.RGBA{20, 20, 200, 255}

// uploading is the post of a form with a file, as browsers send it.
func (b *browser) uploading(form url.Values, name string, file []byte) *http.Request {
	b.t.Helper()
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	for field, values := range form {
		b.n.must(parts.WriteField(field, values[0]))
	}
	part, err := parts.CreateFormFile("picture", name)
	b.n.must(err)
	_, err = part.Write(file)
	b.n.must(err)
	b.n.must(parts.Close())
	return b.uploadingBody(parts.FormDataContentType(), &body)
}

func (b *browser) uploadingBody(contentType string, body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://"+testHost+pictureForm, body)
	r.Header.Set("User-Agent", b.agent)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", testOrigin)
	r.Header.Set("Content-Type", contentType)
	return r
}

func (b *browser) upload(file []byte) *answer {
	b.t.Helper()
	return b.do(b.uploading(b.get("/settings").form(pictureForm), "me.jpg", file))
}

// image loads an image as a page does.
func (b *browser) image(from string) *answer {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://"+testHost+from, nil)
	r.Header.Set("Sec-Fetch-Mode", "no-cors")
	r.Header.Set("Sec-Fetch-Dest", "image")
	r.Header.Set("Accept-Encoding", "gzip")
	return b.do(r)
}

// isPicture fails unless the answer is a picture of one colour that no cache may keep.
func (a *answer) isPicture(side int, of color.RGBA) *answer {
	a.t.Helper()
	a.is(http.StatusOK).leavesCookies()
	m, err := jpeg.Decode(strings.NewReader(a.body))
	if err != nil || m.Bounds() != image.Rect(0, 0, side, side) {
		a.t.Fatalf("%s is no picture: %v", a.at, err)
	}
	r, _, b, _ := m.At(side/2, side/2).RGBA()
	near := func(got uint32, want uint8) bool { return max(int(got>>8)-int(want), int(want)-int(got>>8)) < 8 }
	if !near(r, of.R) || !near(b, of.B) {
		a.t.Errorf("%s is another picture: %v", a.at, m.At(side/2, side/2))
	}
	for name, want := range map[string]string{"Content-Type": "image/jpeg", "Cache-Control": "no-store", "Content-Encoding": "",
		"X-Content-Type-Options": "nosniff", "Content-Length": fmt.Sprint(len(a.body)),
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"} {
		if got := a.Header.Get(name); got != want {
			a.t.Errorf("%s has %s %q, want %q", a.at, name, got, want)
		}
	}
	return a
}

var avatarImage = regexp.MustCompile(`<img class="avatar" src="([^"]*)" alt="" width="36" height="36">`)

// avatar is where a page loads the picture from, "" when it shows initials.
func (a *answer) avatar() string {
	a.t.Helper()
	m := avatarImage.FindStringSubmatch(a.body)
	if (m == nil) == !strings.Contains(a.body, `<svg class="avatar`) {
		a.t.Fatalf("%s shows neither picture nor initials, or both", a.at)
	}
	if m == nil {
		return ""
	}
	return strings.ReplaceAll(m[1], "&amp;", "&")
}

func (n *node) pictureName(handle string) exeunt.PictureName {
	n.t.Helper()
	p, err := n.ProfileOf(n.t.Context(), n.id(handle))
	n.must(err)
	return p.Picture
}

func TestPicture(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("grace")
	b, other := n.signedIn("ada"), n.signedIn("grace")
	if at := b.get("/").avatar(); at != "" {
		t.Fatalf("a picture before there is one, at %s", at)
	}
	b.upload(photo(t, red)).leadsTo("/settings")
	first := b.get("/settings").says("Your picture is saved.", "Remove picture").avatar()
	for _, page := range []string{"/", "/sessions", "/menu", "/help"} {
		if at := b.get(page).avatar(); at != first {
			t.Errorf("%s shows %q", page, at)
		}
	}
	b.image(first).isPicture(exeunt.PictureSmall, red)
	if got := b.image(first).Header.Get("Cross-Origin-Resource-Policy"); got != "same-origin" {
		t.Errorf("pages of other sites may show it: %q", got)
	}
	name := n.pictureName("ada")
	public := "/pictures/" + string(name)
	large := newBrowser(n).image(public).isPicture(exeunt.PictureLarge, red)
	if got := large.Header.Get("Cross-Origin-Resource-Policy"); got != "cross-origin" {
		t.Errorf("pages of apps may not show it: %q", got)
	}

	// Nobody else sees it where the account does: not another account, no half of a credential, and no guess.
	half := b.thief()
	delete(half.cookies, half.hereName())
	for who, c := range map[string]*browser{"a stranger": newBrowser(n), "another account": other, "half of a credential": half} {
		for _, at := range []string{first, "/account/" + n.id("ada").String() + "/picture", "/account/x/picture",
			"/pictures/" + strings.ToLower(string(name)), "/pictures/" + string(name[1:]), "/pictures/",
			"/pictures/" + n.id("ada").String()} {
			if a := c.image(at); a.StatusCode != http.StatusNotFound || strings.Contains(a.body, "JFIF") {
				t.Errorf("%s gets %d at %s", who, a.StatusCode, at)
			}
		}
	}

	// Another picture has another address, and the one before is gone.
	b.upload(photo(t, blue)).leadsTo("/settings")
	second := b.get("/").avatar()
	if second == first {
		t.Error("the address is the same")
	}
	b.image(second).isPicture(exeunt.PictureSmall, blue)
	newBrowser(n).image(public).is(http.StatusNotFound)

	b.submit("/settings", "/settings/picture/remove", nil).leadsTo("/settings")
	removed := b.get("/settings").says("Your picture is removed.", "your initials").hides("/settings/picture/remove")
	if at := removed.avatar(); at != "" {
		t.Errorf("removed, and shown at %s", at)
	}
	b.image(second).is(http.StatusNotFound)
	b.get("/activity").says("The picture was changed", "The picture was removed")

	// Signed out, it is gone for this browser, and half a credential has never shown it.
	b.upload(photo(t, red)).leadsTo("/settings")
	third := b.get("/").avatar()
	b.image(third).isPicture(exeunt.PictureSmall, red)
	b.submit("/signout", "/signout", nil)
	b.image(third).is(http.StatusNotFound)
	half.image(third).is(http.StatusNotFound)
	again := n.signedIn("ada")
	again.image(again.get("/").avatar()).isPicture(exeunt.PictureSmall, red)
}

func TestRefusedPictures(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	good := photo(t, red)
	b.upload(good).leadsTo("/settings")
	name, before := n.pictureName("ada"), n.recorded()
	for what, c := range map[string]struct {
		file []byte
		says string
	}{
		"none":            {nil, "Choose a picture first."},
		"a text":          {[]byte("I am no picture"), "This is not a JPEG, PNG, GIF or WebP picture"},
		"a cut one":       {good[:len(good)/2], "or the file is damaged"},
		"a byte too much": {append(bytes.Clone(good), make([]byte, exeunt.MaxPicture+1-len(good))...), "larger than 1 MB"},
		"far too large":   {make([]byte, 9<<20), "larger than 1 MB"},
		"a bomb":          {[]byte("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff"), "too many pixels"},
	} {
		t.Run(what, func(t *testing.T) {
			a := b.upload(c.file).is(http.StatusUnprocessableEntity).says(c.says, "Save picture")
			if !strings.Contains(a.body, `aria-invalid="true"`) {
				t.Error("the field is not marked")
			}
		})
	}
	// Of a file that is cut off behind long fields, what is left would be a picture.
	form := b.get("/settings").form(pictureForm)
	long := maps.Clone(form)
	long.Set("more", strings.Repeat("x", maxForm-200))
	cut := b.uploading(long, "me.jpg", append(photo(t, blue), make([]byte, exeunt.MaxPicture-1)...))
	b.do(cut).is(http.StatusUnprocessableEntity).says("larger than 1 MB")
	for what, c := range map[string]struct {
		request *http.Request
		status  int
	}{
		"of another sign-in": {b.uploading(url.Values{"session": {exeunt.NewSessionID().String()}}, "me.jpg", good),
			http.StatusConflict},
		"without a session": {b.uploading(url.Values{"key": form["key"]}, "me.jpg", good), http.StatusConflict},
		"without a file": {b.uploadingBody("application/x-www-form-urlencoded",
			strings.NewReader(form.Encode())), http.StatusUnprocessableEntity},
		"of no boundary":  {b.uploadingBody("multipart/form-data", bytes.NewReader(good)), http.StatusBadRequest},
		"without an end":  {b.cut(form, good), http.StatusBadRequest},
		"more than 32 MB": {b.uploading(form, "me.jpg", make([]byte, 40<<20)), http.StatusRequestEntityTooLarge},
	} {
		t.Run(what, func(t *testing.T) { b.do(c.request).is(c.status) })
	}
	stranger := newBrowser(n)
	stranger.do(stranger.uploading(form, "me.jpg", good)).is(http.StatusUnauthorized)
	stranger.do(stranger.uploading(form, "me.jpg", make([]byte, 9<<20))).is(http.StatusUnauthorized)
	if n.pictureName("ada") != name || n.recorded() != before {
		t.Error("something was changed")
	}
}

// cut is an upload that ends within the file.
func (b *browser) cut(form url.Values, file []byte) *http.Request {
	b.t.Helper()
	r := b.uploading(form, "me.jpg", file)
	body, err := io.ReadAll(r.Body)
	b.n.must(err)
	return b.uploadingBody(r.Header.Get("Content-Type"), bytes.NewReader(body[:len(body)-len(file)/2]))
}

// Two presses of one form, at once and after one another, are one change, and each is told so.
func TestPictureSentTwice(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	for what, picture := range map[string][]byte{"red": photo(t, red), "blue": photo(t, blue)} {
		head, err := n.Store.Head(t.Context())
		n.must(err)
		form := b.get("/settings").form(pictureForm)
		var wait sync.WaitGroup
		for range 2 {
			press := b.thief() // another connection of the same browser
			request := press.uploading(form, "me.jpg", picture)
			wait.Go(func() {
				if a := press.do(request); a.StatusCode != http.StatusSeeOther {
					t.Errorf("%s: answered %d", what, a.StatusCode)
				}
			})
		}
		wait.Wait()
		b.do(b.uploading(form, "me.jpg", picture)).leadsTo("/settings")
		if after, err := n.Store.Head(t.Context()); err != nil || after != head+1 {
			t.Errorf("%s: %d changes are recorded, %v", what, after-head, err)
		}
	}
	remove := b.get("/settings").form("/settings/picture/remove")
	for range 2 {
		b.post("/settings/picture/remove", remove).leadsTo("/settings")
	}
	if name := n.pictureName("ada"); name != "" {
		t.Error("the picture is there")
	}
}

func TestManyPictures(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	n.account("grace")
	b := n.signedIn("ada")
	form := b.get("/settings").form(pictureForm)
	for range 10 { // one that cannot be used is work, too
		b.do(b.uploading(form, "me.jpg", []byte("no picture"))).is(http.StatusUnprocessableEntity)
	}
	a := b.do(b.uploading(form, "me.jpg", photo(t, red))).is(http.StatusTooManyRequests)
	a.says("Your settings have been changed too many times")
	if a.Header.Get("Retry-After") != "60" {
		t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
	}
	n.signedIn("grace").upload(photo(t, red)).leadsTo("/settings")
}

// An upload that began while the session was good, and whose file came after it had been ended, does nothing.
func TestHeldBackPicture(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	thief := n.signedIn("ada")
	whole := thief.uploading(thief.get("/settings").form(pictureForm), "me.jpg", photo(t, red))
	session := thief.session()
	r := thief.uploadingBody(whole.Header.Get("Content-Type"), &heldBack{whole.Body, func() {
		_, err := n.Authority.End(t.Context(), exeunt.System(), exeunt.Revocation{Reason: exeunt.ReasonAdministrator,
			Target: exeunt.Target{Account: n.id("ada"), Scope: exeunt.ScopeSession, Session: session}})
		n.must(err)
	}})
	thief.do(r).is(http.StatusUnauthorized)
	if n.pictureName("ada") != "" {
		t.Error("the picture was changed")
	}
}

// deadlines is an answer whose connection has a deadline for what is read.
type deadlines struct {
	*httptest.ResponseRecorder
	longest time.Duration
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		d.longest = max(d.longest, time.Until(t))
	}
	return nil
}

// A megabyte takes longer than other forms. Only somebody who is signed in may take that long.
func TestPicturesMayBeSlow(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	for _, c := range []struct {
		who   *browser
		under time.Duration
		least time.Duration
	}{{n.signedIn("ada"), uploadTime, uploadTime - 5*time.Second}, {newBrowser(n), web.BodyPatience, 0}} {
		r := c.who.uploading(url.Values{}, "me.jpg", photo(t, red))
		for name, value := range c.who.cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		n.web.ServeHTTP(w, r)
		if w.longest > c.under || w.longest < c.least || w.longest == 0 {
			t.Errorf("it may take %v", w.longest)
		}
	}
}

// A file that is far too large is read to its end, over a connection: a browser that could not send it would show that
// and not what is wrong.
func TestALargeUploadIsAnswered(t *testing.T) {
	n := newNode(t)
	n.account("ada")
	b := n.signedIn("ada")
	server := httptest.NewServer(web.BoundBodies(n.web))
	t.Cleanup(server.Close)
	r := b.uploading(b.get("/settings").form(pictureForm), "me.jpg", make([]byte, 20<<20))
	r.RequestURI, r.Host = "", testHost
	r.URL.Host = strings.TrimPrefix(server.URL, "http://")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	got, err := http.DefaultTransport.RoundTrip(r)
	n.must(err)
	defer got.Body.Close()
	page, err := io.ReadAll(got.Body)
	if n.must(err); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(page), "larger than 1 MB") {
		t.Errorf("answered %d: %s", got.StatusCode, text(string(page)))
	}
}
