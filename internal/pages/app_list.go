package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

const (
	// maxAppUses is how many sign-ins to apps one page looks at, and maxAppRows how many apps it shows.
	maxAppUses = 300
	maxAppRows = 50
	// shownPlaces is how many sessions the page names for an app.
	shownPlaces = 3
)

// appList shows what may act in the person's name.
func (p *Pages) appList(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	done, err := p.Authority.Listing(r.Context(), v.Answer.Account)
	if err != nil {
		return err
	}
	defer done()
	after := exeunt.ClientID(r.URL.Query().Get("after"))
	uses, err := p.Authority.Apps(r.Context(), authority.AppFilter{Account: v.Answer.Account, After: after, Limit: maxAppUses + 1})
	if err != nil {
		return err
	}
	allowed, err := p.Authority.Consents(r.Context(), v.Answer.Account)
	if err != nil {
		return err
	}
	profile, err := p.Authority.Profile(r.Context(), v.Answer)
	if err != nil {
		return err
	}
	view := &ui.AppsView{Frame: p.frame(r, v, ui.NavApps), Email: profile.Email, After: string(after)}
	view.Apps, view.Next = p.appRows(uses, allowed, after)
	if n, ok := p.takeNotice(w, r, v, noticeApp); ok {
		view.Done = p.readApp(n)
	}
	return p.show(w, http.StatusOK, view)
}

// appRows makes a row of each client with a sign-in or a consent, by their IDs, and says after which one the next page
// begins.
func (p *Pages) appRows(uses []authority.AppUse, allowed []authority.Consent, after exeunt.ClientID) ([]ui.AppUsed, string) {
	more := len(uses) > maxAppUses
	rows := map[exeunt.ClientID]*ui.AppUsed{}
	var ids []exeunt.ClientID
	row := func(id exeunt.ClientID) *ui.AppUsed {
		if rows[id] == nil {
			c, err := p.OAuth.Client(id)
			if err != nil {
				c = exeunt.Client{ID: id, Name: string(id)}
			}
			rows[id] = &ui.AppUsed{AppReach: ui.AppReach{Client: c}}
			ids = append(ids, id)
		}
		return rows[id]
	}
	seen := map[exeunt.ClientID]map[exeunt.SessionID]bool{}
	for _, u := range uses[:min(len(uses), maxAppUses)] {
		a := row(u.Client)
		a.Reach = a.Reach.Further(a.Client.Reach(u.AppSession, p.Now()))
		a.Scopes = a.Scopes.With(u.Scopes)
		if a.Since.IsZero() || u.Started.Before(a.Since) {
			a.Since = u.Started
		}
		if u.Seen.After(a.Used) {
			a.Used = u.Seen
		}
		if seen[u.Client] == nil {
			seen[u.Client] = map[exeunt.SessionID]bool{}
		}
		if !seen[u.Client][u.Session] {
			seen[u.Client][u.Session] = true
			if len(a.Places) < shownPlaces {
				a.Places = append(a.Places, u.Label)
			} else {
				a.More++
			}
		}
	}
	// The sign-ins of the last client may go on behind what was read.
	last := exeunt.ClientID("")
	if more {
		last = uses[maxAppUses-1].Client
		if uses[maxAppUses].Client == last && uses[0].Client != last {
			delete(rows, last)
			ids = slices.DeleteFunc(ids, func(id exeunt.ClientID) bool { return id == last })
			last = slices.Max(ids)
		}
	}
	for _, c := range allowed {
		if c.Client <= after || more && c.Client > last {
			continue
		}
		a := row(c.Client)
		a.Scopes, a.Allowed = a.Scopes.With(c.Scopes), c.At
	}
	slices.Sort(ids)
	next := string(last)
	if len(ids) > maxAppRows {
		ids = ids[:maxAppRows]
		next = string(ids[maxAppRows-1])
	}
	out := make([]ui.AppUsed, len(ids))
	for i, id := range ids {
		out[i] = *rows[id]
	}
	return out, next
}

// reachOf says how far a sign-out of an app reaches it, before it is done: in one session, or with the zero ID in all. The
// sign-out does not wait for it if that cannot be read.
func (p *Pages) reachOf(r *http.Request, v web.Visitor, c exeunt.Client, in exeunt.SessionID) exeunt.Reach {
	uses, _ := p.Authority.Apps(r.Context(), authority.AppFilter{Account: v.Answer.Account, Client: c.ID, Session: in,
		Limit: maxAppUses})
	var reach exeunt.Reach
	for _, u := range uses {
		reach = reach.Further(c.Reach(u.AppSession, p.Now()))
	}
	if reach.Tier == "" {
		return c.Reach(exeunt.AppSession{}, p.Now())
	}
	return reach
}

// endApp signs out of an app wherever the person is signed in to it.
func (p *Pages) endApp(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.endAndTell(w, r, v, false)
}

// removeApp does so too, and forgets what the person has allowed the app.
func (p *Pages) removeApp(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.endAndTell(w, r, v, true)
}

func (p *Pages) endAndTell(w http.ResponseWriter, r *http.Request, v web.Visitor, remove bool) error {
	c, err := p.OAuth.Client(exeunt.ClientID(r.PathValue("client")))
	if err != nil {
		return err
	}
	key, err := formKey(r)
	if err != nil {
		return err
	}
	by := v.Actor(r, p.Peers)
	done := ui.AppDone{AppReach: ui.AppReach{Client: c, Reach: p.reachOf(r, v, c, exeunt.SessionID{})}, Removed: remove}
	if remove { // first, so that the app cannot come back by itself in between
		if err := p.Authority.Withdraw(r.Context(), by, c.ID); err != nil {
			return err
		}
	}
	ended, err := p.Authority.EndApp(r.Context(), by, c.ID, exeunt.SessionID{}, key)
	if err != nil {
		return err
	}
	done.Ended = int(ended.Ended)
	p.tell(w, v, noticeApp, appNotice(done))
	return redirect(w, "/apps")
}

func appNotice(d ui.AppDone) url.Values {
	v := url.Values{"client": {string(d.Client.ID)}, "tier": {string(d.Reach.Tier)}, "ended": {strconv.Itoa(d.Ended)},
		"removed": {strconv.FormatBool(d.Removed)}}
	if !d.Reach.By.IsZero() {
		v.Set("by", strconv.FormatInt(d.Reach.By.UnixMilli(), 10))
	}
	return v
}

// readApp reads what appNotice wrote; nil if the app has gone.
func (p *Pages) readApp(v url.Values) *ui.AppDone {
	c := p.client(v.Get("client"))
	if c == nil {
		return nil
	}
	d := &ui.AppDone{Removed: v.Get("removed") == "true"}
	d.Client, d.Reach.Tier = *c, exeunt.Tier(v.Get("tier"))
	d.Ended, _ = strconv.Atoi(v.Get("ended"))
	if ms, err := strconv.ParseInt(v.Get("by"), 10, 64); err == nil {
		d.Reach.By = time.UnixMilli(ms).UTC()
	}
	return d
}
