package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// changePicture makes the account's picture of an uploaded file.
func (p *Pages) changePicture(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	file, _ := r.Context().Value(pictureKey{}).([]byte)
	return p.pictureDone(w, r, v, "changed", p.Accounts.ChangePicture(r.Context(), v.Actor(r, p.Peers), v.Token, file))
}

func (p *Pages) removePicture(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	_, err := p.Accounts.RemovePicture(r.Context(), v.Actor(r, p.Peers), v.Token, v.Answer.Account)
	return p.pictureDone(w, r, v, "removed", err)
}

func (p *Pages) pictureDone(w http.ResponseWriter, r *http.Request, v web.Visitor, what string, err error) error {
	if status := refusal(w, err); status != 0 && !errors.Is(err, exeunt.ErrSignedOut) {
		return p.showSettings(w, r, v, status, &ui.SettingsView{PictureErr: err})
	}
	if err != nil {
		return err
	}
	p.tell(w, v, noticePicture, url.Values{"what": {what}})
	return redirect(w, "/settings")
}

// pictureAddress is where pages load an account's picture from; "" without one. It changes with the profile, so that no
// page shows the picture before.
func pictureAddress(id exeunt.AccountID, p exeunt.Profile) string {
	if p.Picture == "" {
		return ""
	}
	return fmt.Sprintf("/account/%s/picture?v=%d", id, p.Version)
}

// ownPicture is the picture as pages show it, for nobody but the browser in which the account is signed in.
func (p *Pages) ownPicture(w http.ResponseWriter, r *http.Request) error {
	id, err := exeunt.ParseAccountID(r.PathValue("id"))
	v := p.Browser.Visitor(r)
	for _, other := range p.Browser.Others(r, v) {
		if other.SignedIn() && other.Answer.Account == id {
			v = other
		}
	}
	switch {
	case v.Doubt() != nil:
		return v.Doubt()
	case err != nil, !v.SignedIn(), v.Answer.Account != id:
		return exeunt.ErrNotFound
	}
	picture, err := p.Accounts.Picture(r.Context(), id)
	if err != nil {
		return err
	}
	return showPicture(w, picture.Small)
}

// publicPicture is the picture as apps show it, for whoever knows its name: apps that may see the profile do, see
// decision 50.
func (p *Pages) publicPicture(w http.ResponseWriter, r *http.Request) error {
	picture, err := p.Accounts.PictureByName(r.Context(), exeunt.PictureName(r.PathValue("name")))
	if err != nil {
		return err
	}
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin") // pages of apps embed it
	return showPicture(w, picture.Large)
}

// showPicture answers with a picture, which no cache may keep: on a shared computer it would tell who was here.
func showPicture(w http.ResponseWriter, data []byte) error {
	h := w.Header()
	h.Set("Content-Type", "image/jpeg")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	web.NoStore(w)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(data) // the browser may have gone away
	return nil
}

// Limits of an upload. Of a picture that is too large the rest is read, because a browser that cannot send all of its
// form does not show the answer.
const (
	maxUpload  = exeunt.MaxPicture + maxForm
	maxRest    = 32 << 20
	uploadTime = 30 * time.Second // for 1 MB, 270 kbit/s
)

// pictureKey is the context's key of the uploaded picture.
type pictureKey struct{}

// afterUpload is afterForm for the form with a picture. Only somebody who is signed in may send much, or slowly.
func (p *Pages) afterUpload(h web.Handler) web.Handler {
	plain := afterForm(h)
	return func(w http.ResponseWriter, r *http.Request) error {
		kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "multipart/form-data" { // then it has no file
			return plain(w, r)
		}
		most, patience := int64(maxForm), web.BodyPatience
		if p.Browser.Visitor(r).SignedIn() {
			most, patience = maxUpload, uploadTime
		}
		body, whole, err := web.ReadUpload(w, r, most, maxRest, patience)
		if err != nil {
			return err
		}
		file, err := readUpload(r, params["boundary"], body, whole)
		if err != nil {
			return err
		}
		return h(w, r.WithContext(context.WithValue(r.Context(), pictureKey{}, file)))
	}
}

// readUpload reads a form's fields, and its picture, of which it returns more than MaxPicture if it is cut off.
func readUpload(r *http.Request, boundary string, body []byte, whole bool) (file []byte, err error) {
	r.Form, r.PostForm = url.Values{}, url.Values{}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for fields := 0; ; {
		part, err := parts.NextPart()
		if err == io.EOF || err != nil && !whole { // an error that wraps it says that the form has no end
			return file, nil
		}
		if err != nil {
			return nil, formError(err)
		}
		value, err := io.ReadAll(part)
		if err != nil && whole {
			return nil, formError(err)
		}
		if name := part.FormName(); name != "picture" {
			if fields += len(value); fields > maxForm {
				return nil, &http.MaxBytesError{Limit: maxForm}
			}
			r.PostForm.Add(name, string(value))
			r.Form.Add(name, string(value))
		} else if file == nil {
			file = value
			if !whole {
				file = make([]byte, exeunt.MaxPicture+1)
			}
		}
	}
}
