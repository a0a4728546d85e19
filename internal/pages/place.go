package pages

import (
	"net/http"
	"slices"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/web"
)

// place is what a sign-in makes of the sessions that the browser has already.
type place struct {
	takes web.Visitor   // whose session it goes on with or takes the place of; nobody if the account is added
	ends  []web.Visitor // whose sessions end besides: the computer is shared, or the account has several here
	gone  []web.Place
}

// placeOf finds the place of an account that signs in. Several accounts can be signed in in one browser, but not on a shared
// computer, where whoever signs in is alone. Where it ends somebody else's session, the form must be of the sign-in that is
// active: a tab opened before that changes nothing.
func (p *Pages) placeOf(r *http.Request, v web.Visitor, kind exeunt.SessionKind, account exeunt.AccountID) (place, error) {
	alone := kind == exeunt.KindShared || p.Policy.Accounts < 2
	var live []web.Visitor
	var to place
	for _, one := range append([]web.Visitor{v}, p.Browser.Others(r, v)...) {
		switch {
		case one.SignedIn() || one.Renewed() || one.Incomplete():
			live = append(live, one)
			alone = alone || one.SignedIn() && one.Answer.Kind == exeunt.KindShared
		case one.Doubt() != nil:
			return place{}, one.Doubt()
		case !one.Nobody():
			to.gone = append(to.gone, one.Place)
		}
	}
	i := slices.IndexFunc(live, func(one web.Visitor) bool { return one.Answer.Account == account })
	if i < 0 && v.Renewed() { // by this form, perhaps
		i = 0
	}
	if i >= 0 {
		to.takes = live[i]
		live = slices.Delete(live, i, i+1)
	}
	if !alone {
		// Tabs that signed in to the account at the same moment have left a session each. One goes on.
		for _, one := range live {
			if one.SignedIn() && one.Answer.Account == account && one.Answer.Account == to.takes.Answer.Account {
				to.ends = append(to.ends, one)
			}
		}
		if to.takes.Nobody() && len(live) >= p.Policy.Accounts {
			return place{}, exeunt.ErrTooManyAccounts
		}
		return to, nil
	}
	if to.takes.Nobody() && len(live) > 0 {
		to.takes, live = live[0], live[1:]
	}
	if slices.ContainsFunc(live, web.Visitor.Renewed) { // which one it is now is not known from here, so nothing ends yet
		return to, exeunt.ErrRenewed
	}
	to.ends = live
	if len(live) > 0 || !to.takes.Nobody() && to.takes.Answer.Account != account {
		return to, v.FormSession(r)
	}
	return to, nil
}

// forgets returns where cookies go once the new session has its own.
func (to place) forgets(at web.Place) []web.Place {
	gone := to.gone
	for _, one := range append(to.ends, to.takes) {
		gone = append(gone, one.Place)
	}
	return slices.DeleteFunc(gone, func(one web.Place) bool { return one == "" || one == at })
}
