package chirp

import "net/http"

type timelineView struct {
	Posts   []post
	Text    string // typed, but not stored
	Problem string
}

// timeline is the front page: posts for members, a welcome for everybody else.
func (a *App) timeline(w http.ResponseWriter, r *http.Request) {
	m, ok, err := a.member(r.Context())
	switch {
	case err != nil:
		a.fail(w, r, err)
	case !ok:
		a.views.show(w, http.StatusOK, "welcome", a.page(r, nil))
	default:
		if err := a.showTimeline(w, r, m, http.StatusOK, timelineView{}); err != nil {
			a.fail(w, r, err)
		}
	}
}

func (a *App) showTimeline(w http.ResponseWriter, r *http.Request, _ member, status int, v timelineView) (err error) {
	if v.Posts, err = a.data.posts(r.Context()); err != nil {
		return err
	}
	a.views.show(w, status, "timeline", a.page(r, v))
	return nil
}

func (a *App) postAdd(w http.ResponseWriter, r *http.Request, m member) error {
	s, problem := text(r)
	if problem != "" {
		return a.showTimeline(w, r, m, http.StatusUnprocessableEntity, timelineView{Text: s, Problem: problem})
	}
	if err := a.data.addPost(r.Context(), pressed(r, m), s, a.now()); err != nil {
		return err
	}
	return back(w, r, "/")
}
