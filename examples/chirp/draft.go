package chirp

import (
	"net/http"
	"strconv"
)

type draftView struct {
	draft
	Problem string
}

type draftsView struct {
	Drafts  []draft
	Text    string // typed, but not stored
	Problem string
}

func (a *App) draftList(w http.ResponseWriter, r *http.Request, m member) error {
	return a.showDrafts(w, r, m, http.StatusOK, draftsView{})
}

func (a *App) showDrafts(w http.ResponseWriter, r *http.Request, m member, status int, v draftsView) (err error) {
	if v.Drafts, err = a.data.drafts(r.Context(), m.id); err != nil {
		return err
	}
	a.views.show(w, status, "drafts", a.page(r, v))
	return nil
}

// draftAdd stores a draft on the server. In the browser it would still be there after
// the sign-out.
func (a *App) draftAdd(w http.ResponseWriter, r *http.Request, m member) error {
	s, problem := text(r)
	switch {
	case problem != "" && r.PostFormValue("from") == "drafts":
		return a.showDrafts(w, r, m, http.StatusUnprocessableEntity, draftsView{Text: s, Problem: problem})
	case problem != "":
		return a.showTimeline(w, r, m, http.StatusUnprocessableEntity, timelineView{Text: s, Problem: problem})
	}
	if err := a.data.addDraft(r.Context(), pressed(r, m), s, a.now()); err != nil {
		return err
	}
	return back(w, r, "/drafts")
}

func (a *App) draftShow(w http.ResponseWriter, r *http.Request, m member) error {
	d, err := a.data.draft(r.Context(), m.id, draftID(r))
	if err != nil {
		return err
	}
	a.views.show(w, http.StatusOK, "draft", a.page(r, draftView{draft: d}))
	return nil
}

func (a *App) draftSave(w http.ResponseWriter, r *http.Request, m member) error {
	s, problem := text(r)
	if problem != "" {
		return a.showDraft(w, r, m, s, problem)
	}
	if err := a.data.saveDraft(r.Context(), m.id, draftID(r), s, a.now()); err != nil {
		return err
	}
	return back(w, r, "/drafts")
}

func (a *App) draftPost(w http.ResponseWriter, r *http.Request, m member) error {
	s, problem := text(r)
	if problem != "" {
		return a.showDraft(w, r, m, s, problem)
	}
	if err := a.data.postDraft(r.Context(), pressed(r, m), draftID(r), s, a.now()); err != nil {
		return err
	}
	return back(w, r, "/")
}

func (a *App) draftDelete(w http.ResponseWriter, r *http.Request, m member) error {
	if err := a.data.deleteDraft(r.Context(), pressed(r, m), draftID(r), a.now()); err != nil {
		return err
	}
	return back(w, r, "/drafts")
}

func (a *App) showDraft(w http.ResponseWriter, r *http.Request, m member, typed, problem string) error {
	d, err := a.data.draft(r.Context(), m.id, draftID(r))
	if err != nil {
		return err
	}
	d.Text = typed
	a.views.show(w, http.StatusUnprocessableEntity, "draft", a.page(r, draftView{d, problem}))
	return nil
}

// draftID is 0, which no draft has, if the address has no number.
func draftID(r *http.Request) int64 {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	return id
}
