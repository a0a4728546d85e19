package ui

import (
	"html/template"
	"time"

	"github.com/exeunt/exeunt"
)

// ReceiptView is "/receipts/{handle}": what is recorded of one ending. Whoever knows the address sees it, so it names no
// person, device or place.
type ReceiptView struct {
	Frame
	At       time.Time // when the end was recorded
	Scope    exeunt.Scope
	App      bool // only a sign-in of an app ended
	Sessions int  // how many ended
	// SignIns is how many sign-ins of apps ended with them; 0 if there were none, or that is not known any more.
	SignIns int
	Reason  exeunt.Reason
	By      string // as in a receipt
	Event   int64  // number in the log
	Log     string // its name
	Apps    []AppAfter
	Some    bool   // there may be other apps
	File    string // where the signed file is
	Name    string // and what it is called
	Check   string // where the sign-out is checked
	Issuer  string // this site's address
	Keys    string // where its keys are
}

// Waiting is as in SignedOutView.
func (v *ReceiptView) Waiting() bool { return (&SignedOutView{Apps: v.Apps}).Waiting() }

// receiptWhat says what ended.
func (w *words) receiptWhat(v *ReceiptView) (template.HTML, error) {
	switch {
	case v.App:
		return w.t("receipt.app")
	case v.Scope == exeunt.ScopeAccount:
		return w.tn("receipt.account", v.Sessions)
	case v.Scope == exeunt.ScopeOthers:
		return w.tn("receipt.others", v.Sessions)
	case v.SignIns > 0:
		return w.tn("receipt.session_apps", v.SignIns)
	}
	return w.t("receipt.session")
}

// receiptWhy says why it ended, as whoever holds a dead credential is told.
func (w *words) receiptWhy(r exeunt.Reason) (template.HTML, error) {
	if r == exeunt.ReasonSignedOut {
		return w.t("receipt.signed_out")
	}
	return w.whyBriefly(&exeunt.Ended{Reason: r})
}
