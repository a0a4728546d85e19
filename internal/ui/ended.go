package ui

import (
	"html/template"
	"time"

	"github.com/exeunt/exeunt"
)

// why tells the account's owner why a session ended and what ended it.
func (w *words) why(s exeunt.Session, end *exeunt.Ended) (template.HTML, error) {
	if end == nil {
		return "", nil
	}
	switch end.Reason {
	case exeunt.ReasonIdle:
		return w.whyAfter("why.idle", s.Idle)
	case exeunt.ReasonAbsolute:
		return w.whyAfter("why.absolute", s.ExpiresAt.Sub(s.Started))
	case exeunt.ReasonSignedOut:
		return w.whySignedOut(s, end)
	}
	return w.t("why." + reasonKey(end.Reason))
}

func (w *words) whyAfter(key string, limit time.Duration) (template.HTML, error) {
	d, err := w.duration(limit)
	if err != nil {
		return "", err
	}
	return w.t(key, "Duration", d)
}

func (w *words) whySignedOut(s exeunt.Session, end *exeunt.Ended) (template.HTML, error) {
	switch {
	case end.By == exeunt.ActorOperator:
		return w.t("why.administrator")
	case end.BySession == s.ID:
		return w.t("why.signed_out_there")
	case end.ByLabel != "":
		return w.t("why.signed_out_from", "Label", w.label(end.ByLabel))
	}
	return w.t("why.signed_out")
}

// whyBriefly tells the holder of an ended session's credential only the reason.
func (w *words) whyBriefly(end *exeunt.Ended) (template.HTML, error) {
	if end.Reason == exeunt.ReasonRenewed { // no session ended, so no list has this reason
		return w.t("dead.renewed")
	}
	return w.t("dead." + reasonKey(end.Reason))
}

// reasonKey is the reason's key in the catalogue. A reason from a newer version has the
// general text.
func reasonKey(r exeunt.Reason) string {
	switch r {
	case exeunt.ReasonSignedOut, exeunt.ReasonIdle, exeunt.ReasonAbsolute, exeunt.ReasonReplaced, exeunt.ReasonTooMany, exeunt.ReasonClosed,
		exeunt.ReasonIncomplete,
		exeunt.ReasonPasswordChange, exeunt.ReasonFactorChange, exeunt.ReasonAddressUndone, exeunt.ReasonNotMe, exeunt.ReasonAdministrator,
		exeunt.ReasonDisabled, exeunt.ReasonDeleted, exeunt.ReasonReview, exeunt.ReasonSecured, exeunt.ReasonRevoked,
		exeunt.ReasonClientRemoved:
		return string(r)
	}
	return "other"
}

// bdi isolates text from the writing direction around it.
func bdi(s string) template.HTML {
	return template.HTML("<bdi>" + template.HTMLEscapeString(s) + "</bdi>")
}

// at is a handle with its sign.
func at(handle string) template.HTML { return bdi("@" + handle) }
