package chirp

import (
	"errors"
	"net/http"
	"strings"
)

type messagesView struct {
	Threads []thread
	To      string
	Text    string
	Problem string
}

type threadView struct {
	With     person
	Messages []message
	Text     string
	Problem  string
}

func (a *App) messageList(w http.ResponseWriter, r *http.Request, m member) error {
	return a.showMessages(w, r, m, http.StatusOK, messagesView{To: r.URL.Query().Get("to")})
}

func (a *App) showMessages(w http.ResponseWriter, r *http.Request, m member, status int, v messagesView) (err error) {
	if v.Threads, err = a.data.threads(r.Context(), m.id); err != nil {
		return err
	}
	a.views.show(w, status, "messages", a.page(r, v))
	return nil
}

func (a *App) messageThread(w http.ResponseWriter, r *http.Request, m member) error {
	with, err := a.data.person(r.Context(), r.PathValue("handle"))
	if err != nil {
		return err
	}
	list, err := a.data.messages(r.Context(), m.id, with.ID)
	if err != nil {
		return err
	}
	a.views.show(w, http.StatusOK, "thread", a.page(r, threadView{With: with, Messages: list}))
	return nil
}

func (a *App) messageAdd(w http.ResponseWriter, r *http.Request, m member) error {
	s, problem := text(r)
	handle := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(r.PostFormValue("to")), "@"))
	to, err := a.data.person(r.Context(), handle)
	switch {
	case errors.Is(err, errNotFound):
		problem = "Nobody with that handle has used Chirp yet. Nothing was sent."
	case err != nil:
		return err
	case to.ID == m.id:
		problem = "That is your own handle. Nothing was sent; write a draft for yourself instead."
	}
	if problem != "" {
		v := messagesView{To: handle, Text: s, Problem: problem}
		return a.showMessages(w, r, m, http.StatusUnprocessableEntity, v)
	}
	if err := a.data.addMessage(r.Context(), pressed(r, m), to.ID, s, a.now()); err != nil {
		return err
	}
	return back(w, r, "/messages/"+to.Handle)
}
