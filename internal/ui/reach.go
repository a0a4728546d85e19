package ui

import (
	"fmt"
	"html/template"
	"time"

	"github.com/exeunt/exeunt"
)

// reach says beforehand how far a sign-out reaches an app.
func (w *words) reach(a AppReach) (template.HTML, error) {
	if a.Reach.Tier == exeunt.TierTold && a.Client.EndsMore() {
		return w.t("reach.told_whole")
	}
	if a.Reach.Tier != exeunt.TierExpires {
		return w.t("reach." + string(a.Reach.Tier))
	}
	within, err := w.duration(atLeast(a.Reach.Within))
	if err != nil {
		return "", err
	}
	return w.t("reach.expires", "Within", within)
}

// afterwards says what a sign-out of the browser will mean for an app that is about to get a sign-in.
func (w *words) afterwards(v *AuthorizeView) (template.HTML, error) {
	app := exeunt.AppSession{}
	if v.Scopes.Has(exeunt.ScopeOffline) {
		app.TokenExpires = v.Now.Add(v.Client.LifeOfTokens())
	}
	reach, key := v.Client.Reach(app, v.Now), "own"
	if !v.Client.Public() {
		key = string(reach.Tier)
	}
	if reach.Tier == exeunt.TierTold && v.Client.EndsMore() {
		key = "told_whole"
	}
	within, err := w.duration(atLeast(reach.Within))
	if err != nil {
		return "", err
	}
	return w.t("authorize.dir_"+key, "App", bdi(v.Client.Name), "Within", within)
}

// after says how far a sign-out has reached an app, and never more than is recorded.
func (w *words) after(now time.Time, a AppAfter) (template.HTML, error) {
	switch a.Reach.Tier {
	case exeunt.TierTold:
		if a.Lost {
			return w.t("after.lost")
		}
		return w.told(a.Delivery)
	case exeunt.TierExpires:
		if !a.Reach.By.After(now) {
			return w.t("after.expired")
		}
		return w.atClock("after.expires", a.Reach.By.Add(time.Minute-time.Nanosecond))
	}
	return w.t("after." + string(a.Reach.Tier))
}

func (w *words) told(d *exeunt.Delivery) (template.HTML, error) {
	switch {
	case d == nil:
		return w.t("after.not_yet")
	case d.State == exeunt.DeliveryPending && d.Error == "":
		return w.t("after.waiting") // perhaps in this moment
	case d.State == exeunt.DeliveryPending:
		next, err := w.clock(d.Due)
		if err != nil {
			return "", err
		}
		return w.tn("after.tried", int(d.Attempts), "At", next)
	case d.State == exeunt.DeliveryConfirmed:
		return w.atClock("after.confirmed", d.Finished)
	case d.State == exeunt.DeliveryRefused:
		return w.t("after.refused")
	}
	return w.t("after.gave_up")
}

func (w *words) atClock(key string, at time.Time) (template.HTML, error) {
	text, err := w.clock(at)
	if err != nil {
		return "", err
	}
	return w.t(key, "At", text)
}

// clock gives the hour and minute, in UTC; a script converts it to the reader's zone.
func (w *words) clock(at time.Time) (template.HTML, error) {
	text, err := w.t("clock.utc", "Clock", at.UTC().Format("15:04"))
	if err != nil {
		return "", err
	}
	title, err := w.moment(at)
	if err != nil {
		return "", err
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s" data-clock>%s</time>`,
		at.UTC().Format(time.RFC3339), title, text)), nil
}

// may lists what an app with these scopes may see.
func (w *words) may(scopes exeunt.Scopes, email string) (template.HTML, error) {
	list := []template.HTML{}
	add := func(key string, pairs ...any) error {
		text, err := w.t(key, pairs...)
		list = append(list, text)
		return err
	}
	err := add("apps.may_account")
	for _, scope := range scopes.List() {
		switch {
		case err != nil:
			return "", err
		case scope == exeunt.ScopeProfile:
			err = add("apps.may_profile")
		case scope == exeunt.ScopeEmail && email == "":
			err = add("apps.may_email_later")
		case scope == exeunt.ScopeEmail:
			err = add("apps.may_email", "Email", bdi(email))
		case scope == exeunt.ScopeGroups:
			err = add("apps.may_groups")
		case scope == exeunt.ScopeOffline:
			err = add("apps.may_offline")
		}
	}
	if err != nil {
		return "", err
	}
	what, err := w.list(list)
	if err != nil {
		return "", err
	}
	return w.t("apps.may", "What", what)
}

// places names the sessions that an app is used in.
func (w *words) places(a AppUsed) (template.HTML, error) {
	list := make([]template.HTML, len(a.Places))
	for i, label := range a.Places {
		list[i] = w.label(label)
	}
	names, err := w.list(list)
	if err != nil {
		return "", err
	}
	if a.More > 0 {
		return w.tn("apps.in_more", a.More, "Places", names)
	}
	return w.t("apps.in", "Places", names)
}
