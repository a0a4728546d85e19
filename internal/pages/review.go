package pages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// review shows what is next to be looked at, what there is to begin with, or how it went.
func (p *Pages) review(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	a, err := p.Authority.Account(r.Context(), v.Answer.Account)
	if err != nil {
		return err
	}
	view := &ui.ReviewView{Frame: p.frame(r, v, ui.NavSecurity), Last: a.Reviewed, Clients: p.OAuth.Clients(),
		CanMail: p.Accounts.MailsReviews(a), Mail: a.ReviewMail}
	if next := p.Accounts.ReviewDue(a); !next.IsZero() {
		view.Next = next
	}
	rev, err := p.Accounts.Review(r.Context(), a.ID)
	switch {
	case errors.Is(err, exeunt.ErrNotFound):
		return p.showReviewStart(w, r, v, view)
	case err != nil:
		return err
	case !rev.Finished.IsZero():
		if r.URL.Query().Get("new") == "" && p.Now().Sub(rev.Finished) < shownReview {
			view.Done, view.Kept, view.Ended = true, rev.Kept, rev.Ended
			return p.show(w, http.StatusOK, view)
		}
		return p.showReviewStart(w, r, v, view)
	}
	at, err := p.nextItem(r, v, rev, rev.At, view)
	if err != nil {
		return err
	}
	view.Under, view.At, view.Total = true, at, len(rev.Items)
	return p.show(w, http.StatusOK, view)
}

// shownReview is for how long /review tells how the last one went, rather than how to begin the next.
const shownReview = account.ReviewLater

func (p *Pages) showReviewStart(w http.ResponseWriter, r *http.Request, v web.Visitor, view *ui.ReviewView) error {
	items, err := p.reviewItems(r, v)
	view.Total = len(items)
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, view)
}

// beginReview lists what is to be looked at.
func (p *Pages) beginReview(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	items, err := p.reviewItems(r, v)
	if err != nil {
		return err
	}
	if err := p.Accounts.BeginReview(r.Context(), v.Actor(r, p.Peers), items); err != nil {
		return err
	}
	return redirect(w, "/review")
}

const (
	reviewSession = "session "
	reviewApp     = "app "
)

// reviewItems are the other sessions of the account and then its apps, each group as a review has it.
func (p *Pages) reviewItems(r *http.Request, v web.Visitor) ([]string, error) {
	live, err := p.liveSessions(r.Context(), v, exeunt.SessionFilter{Limit: exeunt.MaxPage})
	if err != nil {
		return nil, err
	}
	notices, err := p.Accounts.Notices(r.Context(), v.Answer.Account)
	if err != nil {
		return nil, err
	}
	var items []string
	for _, s := range reviewOrder(live.this, live.others, notices) {
		items = append(items, reviewSession+s.ID.String())
	}
	uses, _, err := p.appsOf(r, v)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(uses, func(a, b ui.AppUsed) int { return a.Since.Compare(b.Since) })
	for _, a := range uses {
		items = append(items, reviewApp+string(a.Client.ID))
	}
	return items[:min(len(items), account.MaxReviewItems)], nil
}

// reviewOrder puts first what somebody should look at first: sign-ins of which nobody has said that they were theirs, then
// what is used from elsewhere, and of each the oldest.
func reviewOrder(this exeunt.Session, list []exeunt.Session, notices []exeunt.Notice) []exeunt.Session {
	rank := func(s exeunt.Session) int {
		switch {
		case slices.ContainsFunc(notices, func(n exeunt.Notice) bool { return n.Session == s.ID && n.State == exeunt.NoticeOpen }):
			return 0
		case s.Elsewhere(&this):
			return 1
		}
		return 2
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b exeunt.Session) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Started.Compare(b.Started))
	})
	return list
}

// nextItem fills in the first item from a place on that is still there, and returns its place; the number of items when
// there is none.
func (p *Pages) nextItem(
	r *http.Request, v web.Visitor, rev account.Review, from int, view *ui.ReviewView,
) (at int, err error) {
	var apps []ui.AppUsed
	for at = from; at < len(rev.Items); at++ {
		if id, ok := strings.CutPrefix(rev.Items[at], reviewApp); ok {
			if apps == nil {
				if apps, _, err = p.appsOf(r, v); err != nil {
					return at, err
				}
			}
			i := slices.IndexFunc(apps, func(a ui.AppUsed) bool { return string(a.Client.ID) == id })
			if i < 0 {
				continue
			}
			view.App = &apps[i]
			return at, nil
		}
		s, err := p.reviewed(r.Context(), v, rev.Items[at])
		if err != nil {
			return at, err
		}
		if s != nil {
			view.Item = s
			return at, nil
		}
	}
	return at, nil
}

// reviewed returns the session of an item, nil if it has ended.
func (p *Pages) reviewed(ctx context.Context, v web.Visitor, item string) (*exeunt.Session, error) {
	id, err := exeunt.ParseSessionID(strings.TrimPrefix(item, reviewSession))
	if err != nil || id == v.Answer.Session {
		return nil, nil
	}
	s, err := p.Authority.Session(ctx, v.Answer.Account, id)
	switch {
	case errors.Is(err, exeunt.ErrNotFound), err == nil && s.End != nil:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &s, nil
}

// decideReview keeps or ends what the page has shown. The same again finds it decided.
func (p *Pages) decideReview(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	rev, err := p.Accounts.Review(r.Context(), v.Answer.Account)
	if errors.Is(err, exeunt.ErrNotFound) {
		return redirect(w, "/review")
	}
	if err != nil {
		return err
	}
	at, err := strconv.Atoi(r.PostFormValue("at"))
	if err != nil || at < 0 || at > len(rev.Items) {
		return fmt.Errorf("review: %w", exeunt.ErrBadRequest)
	}
	if !rev.Finished.IsZero() || at < rev.At {
		return redirect(w, "/review") // pressed twice, or in another tab
	}
	step, proving := account.ReviewStep{At: at}, p.proving(r, v)
	switch decision := r.PostFormValue("decision"); {
	case at == len(rev.Items):
	case decision == "keep":
		step.Kept = true
	case decision == "end":
		x, stop := p.mayEnd(w, r, v)
		if stop != nil {
			return stop()
		}
		proving, step.Ended = x, true
		if err := p.endReviewed(r, v, rev.Items[at]); err != nil {
			return err
		}
	default:
		return fmt.Errorf("decision: %w", exeunt.ErrBadRequest)
	}
	next, err := p.nextItem(r, v, rev, at+1, &ui.ReviewView{})
	if err != nil {
		return err
	}
	step.Last = next >= len(rev.Items)
	if err := p.Accounts.StepReview(r.Context(), v.Actor(r, p.Peers), step); err != nil {
		return err
	}
	proving.done(w, exeunt.Token{})
	return redirect(w, "/review")
}

// endReviewed ends a session, or what an app has, with what it was allowed. It never ends this session.
func (p *Pages) endReviewed(r *http.Request, v web.Visitor, item string) error {
	key, err := formKey(r)
	if err != nil {
		return err
	}
	by := v.Actor(r, p.Peers)
	if id, ok := strings.CutPrefix(item, reviewApp); ok {
		if err := p.Authority.Withdraw(r.Context(), by, exeunt.ClientID(id)); err != nil {
			return err
		}
		_, err = p.Authority.EndApp(r.Context(), by, exeunt.ClientID(id), exeunt.SessionID{}, key)
		return err
	}
	s, err := p.reviewed(r.Context(), v, item)
	if err != nil || s == nil {
		return err
	}
	_, err = p.Authority.End(r.Context(), by, exeunt.Revocation{Reason: exeunt.ReasonReview, Key: key,
		Target: exeunt.Target{Account: s.Account, Scope: exeunt.ScopeSession, Session: s.ID}})
	return err
}

// reviewLater puts the reminder off.
func (p *Pages) reviewLater(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	if err := p.Accounts.PostponeReview(r.Context(), v.Actor(r, p.Peers)); err != nil {
		return err
	}
	return redirect(w, web.LocalPath(r.PostFormValue("return")))
}

// reviewMail records whether to remind by mail.
func (p *Pages) reviewMail(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	if err := p.Accounts.MailReviews(r.Context(), v.Actor(r, p.Peers), r.PostFormValue("mail") != ""); err != nil {
		return err
	}
	return redirect(w, "/review")
}

// remind adds to a page's frame what its reader should do for the account.
func (p *Pages) remind(ctx context.Context, v web.Visitor, f *ui.Frame) error {
	a, err := p.Authority.Account(ctx, v.Answer.Account)
	if err != nil {
		return err
	}
	s, err := p.Accounts.Securing(ctx, a.ID)
	if err != nil {
		return err
	}
	f.Securing = !s.Started.IsZero() && s.Finished.IsZero()
	f.Reviewed = a.Reviewed
	due := p.Accounts.ReviewDue(a)
	f.ReviewDue = !due.IsZero() && !p.Now().Before(due) && !p.Now().Before(a.ReviewLater)
	return nil
}
