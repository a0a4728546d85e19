package ui

import (
	"fmt"
	"html/template"
	"time"
)

const day = 24 * time.Hour

// ago names a past time relative to now: "2 minutes ago", "on 9 November".
func (w *words) ago(now, at time.Time) (template.HTML, error) {
	return w.element(at, func() (template.HTML, error) { return w.distance(now, at) })
}

func (w *words) distance(now, at time.Time) (template.HTML, error) {
	switch past := now.Sub(at); {
	case past < time.Minute: // a clock a little ahead also reads "just now"
		return w.t("ago.now")
	case past < time.Hour:
		return w.tn("ago.minutes", int(past/time.Minute))
	case past < day:
		return w.tn("ago.hours", int(past/time.Hour))
	case past < 7*day:
		return w.tn("ago.days", int(past/day))
	}
	date, err := w.date(now, at)
	if err != nil {
		return "", err
	}
	return w.t("ago.date", "Date", date)
}

// by names a future time, which is never later than it says: "in 4 hours", "on 9 December".
func (w *words) by(now, at time.Time) (template.HTML, error) {
	return w.element(at, func() (template.HTML, error) {
		if left := at.Sub(now); left < day {
			d, err := w.duration(atLeast(max(left, 0)))
			if err != nil {
				return "", err
			}
			return w.t("by.in", "Duration", d)
		}
		date, err := w.date(now, at)
		if err != nil {
			return "", err
		}
		return w.t("ago.date", "Date", date)
	})
}

// atLeast rounds a wait up to a readable precision, so that waiting that long is enough.
func atLeast(d time.Duration) time.Duration {
	unit := time.Second
	switch {
	case d >= 2*time.Hour:
		unit = time.Hour
	case d > time.Minute:
		unit = time.Minute
	}
	return (d + unit - 1).Truncate(unit)
}

// on gives the date alone: "9 November".
func (w *words) on(now, at time.Time) (template.HTML, error) {
	return w.element(at, func() (template.HTML, error) { return w.date(now, at) })
}

// exact gives the time to the second, in UTC; a script converts it to the reader's zone.
func (w *words) exact(at time.Time) (template.HTML, error) {
	text, err := w.moment(at)
	if err != nil {
		return "", err
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-exact>%s</time>`,
		at.UTC().Format(time.RFC3339), text)), nil
}

func (w *words) date(now, at time.Time) (template.HTML, error) {
	now, at = now.UTC(), at.UTC()
	month, err := w.t(fmt.Sprintf("month.%d", at.Month()))
	if err != nil {
		return "", err
	}
	if at.Year() == now.Year() {
		return w.t("date.short", "Day", at.Day(), "Month", month)
	}
	return w.t("date.long", "Day", at.Day(), "Month", month, "Year", at.Year())
}

func (w *words) moment(at time.Time) (template.HTML, error) {
	at = at.UTC()
	month, err := w.t(fmt.Sprintf("month.%d", at.Month()))
	if err != nil {
		return "", err
	}
	return w.t("date.exact", "Day", at.Day(), "Month", month, "Year", at.Year(), "Clock", at.Format("15:04:05"))
}

// element wraps a relative time in its exact one, for pointers and machines.
func (w *words) element(at time.Time, text func() (template.HTML, error)) (template.HTML, error) {
	inner, err := text()
	if err != nil {
		return "", err
	}
	title, err := w.moment(at)
	if err != nil {
		return "", err
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`,
		at.UTC().Format(time.RFC3339), title, inner)), nil
}
