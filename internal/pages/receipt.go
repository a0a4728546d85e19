package pages

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client/receipt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
)

// receiptFile is what the address of a receipt's file ends with.
const receiptFile = ".jws"

// receiptPath is where the receipt of an ending is; "" if nothing ended.
func (p *Pages) receiptPath(done authority.Ending) string { return p.Receipts.Path(done) }

// receipt shows what is recorded of an ending, or gives it away signed. Knowing the address is enough, whoever is signed
// in, and it leads to nothing else.
func (p *Pages) receipt(w http.ResponseWriter, r *http.Request) error {
	handle, file := strings.CutSuffix(r.PathValue("handle"), receiptFile)
	seq, at, ok := p.Receipts.Read(handle)
	if !ok {
		return fmt.Errorf("receipt: %w", exeunt.ErrNotFound)
	}
	e, err := p.Authority.Ending(r.Context(), seq, at)
	if err != nil {
		return err
	}
	w.Header().Set("X-Robots-Tag", "noindex")
	if file {
		return p.sendReceipt(w, r, &e)
	}
	return p.show(w, http.StatusOK, p.receiptView(r, &e, p.Receipts.PathOf(seq, at)))
}

func (p *Pages) receiptView(r *http.Request, e *authority.Recorded, path string) *ui.ReceiptView {
	apps, complete := p.reached(e)
	view := &ui.ReceiptView{Frame: p.frame(r, p.visit(r), ""), At: e.At, Scope: e.Scope, App: !e.AppSession.IsZero(),
		Sessions: int(e.Event.Ended), Reason: e.Reason, By: string(endedBy(e)), Event: e.Seq, Log: e.Log, Apps: apps,
		Some: !complete, File: path + receiptFile, Check: path + checkPath, Name: receiptName(e), Issuer: p.Issuer, Keys: p.Issuer + receipt.KeysPath}
	if n := signIns(e); n != nil {
		view.SignIns = int(*n)
	}
	return view
}

// sendReceipt signs what is known now.
func (p *Pages) sendReceipt(w http.ResponseWriter, r *http.Request, e *authority.Recorded) error {
	if err := p.Authority.CountReceipt(e, p.Peers.Address(r)); err != nil {
		return err
	}
	text, err := p.statement(e).Encode()
	if err != nil {
		return err
	}
	signed, err := p.OAuth.SignReceipt(r.Context(), text)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jose") // RFC 7515 section 9.2.1
	w.Header().Set("Content-Disposition", `attachment; filename="`+receiptName(e)+`"`)
	_, _ = io.WriteString(w, signed) // the browser may have gone away
	return nil
}

func receiptName(e *authority.Recorded) string {
	return fmt.Sprintf("exeunt-receipt-%s-%d%s", e.At.UTC().Format(time.DateOnly), e.Seq, receiptFile)
}

func (p *Pages) statement(e *authority.Recorded) *receipt.Statement {
	now := p.Now()
	apps, complete := p.reached(e)
	s := &receipt.Statement{
		Version: receipt.Version, Issuer: p.Issuer, ID: "rcp_" + strings.ToLower(rand.Text()), IssuedAt: now.Unix(),
		Event: e.Seq, Log: e.Log, EndedAt: e.At, Scope: receipt.Scope(e.Scope), Reason: string(e.Reason), By: endedBy(e),
		Sessions: e.Event.Ended, AppSessions: signIns(e), AppsComplete: complete,
	}
	if !e.AppSession.IsZero() {
		s.Scope, s.Sessions = receipt.ScopeApp, 0
	}
	for _, a := range apps {
		s.Apps = append(s.Apps, stateOf(a))
	}
	return s
}

// endedBy says what sort of actor ended it.
func endedBy(e *authority.Recorded) receipt.By {
	switch e.By.Kind {
	case exeunt.ActorOperator:
		return receipt.ByAdministrator
	case exeunt.ActorLink:
		return receipt.ByLink
	case exeunt.ActorPerson:
		here := e.By.Session == e.Session
		if !e.AppSession.IsZero() {
			here = e.By.App == e.AppSession
		}
		if e.Scope == exeunt.ScopeAccount || e.Scope == exeunt.ScopeSession && here {
			return receipt.ByHere
		}
		return receipt.ByElsewhere
	}
	return receipt.BySystem
}

// signIns is how many sign-ins of apps ended, nil when that is not known.
func signIns(e *authority.Recorded) *int64 {
	if !e.Whole {
		return nil
	}
	n := int64(0)
	for _, s := range e.Sessions {
		n += s.AppCount
	}
	return &n
}

// reached returns the apps that were used with what ended, and what has become of them. complete: there were no others.
func (p *Pages) reached(e *authority.Recorded) (apps []ui.AppAfter, complete bool) {
	list, more := ui.ReachOf(e.Sessions, p.OAuth.Clients(), p.Now(), e.Scope == exeunt.ScopeAccount)
	for _, a := range list {
		one := ui.AppAfter{AppReach: a}
		if a.Reach.Tier == exeunt.TierTold {
			one.Delivery, one.Lost = told(e, a.Client.ID)
		}
		apps = append(apps, one)
	}
	return apps, e.Whole && more == 0
}

// told returns the delivery to an app that is furthest from being confirmed, of those that it is owed for the sessions.
// nil: one is not recorded yet; lost: it was, and is not any more, or was never owed.
func told(e *authority.Recorded, app exeunt.ClientID) (worst *exeunt.Delivery, lost bool) {
	whole := slices.ContainsFunc(e.Told, func(d exeunt.Delivery) bool { return d.Client == app && d.Session.IsZero() })
	for _, s := range e.Sessions {
		if !slices.ContainsFunc(s.Apps, func(a exeunt.AppSession) bool { return a.Client == app && a.End == nil }) {
			continue
		}
		i := slices.IndexFunc(e.Told, func(d exeunt.Delivery) bool {
			return d.Client == app && (d.Session == s.ID || whole && d.Session.IsZero())
		})
		if i < 0 {
			return nil, e.ToldKnown
		}
		if worst == nil || distance(e.Told[i]) > distance(*worst) {
			worst = &e.Told[i]
		}
	}
	return worst, worst == nil && e.ToldKnown
}

// distance is how far a delivery is from being confirmed; of two that are, the later one counts.
func distance(d exeunt.Delivery) int64 {
	switch d.State {
	case exeunt.DeliveryConfirmed:
		return d.Finished.Unix()
	case exeunt.DeliveryPending:
		return 1 << 60
	}
	return 1 << 61 // it will not be
}

// stateOf is an app as a receipt has it.
func stateOf(a ui.AppAfter) receipt.App {
	out := receipt.App{Client: string(a.Client.ID), Name: a.Client.Name, Tier: string(a.Reach.Tier)}
	switch a.Reach.Tier {
	case exeunt.TierChecked, exeunt.TierRelayed, exeunt.TierProxied:
		out.State = receipt.StateClosed
	case exeunt.TierExpires:
		out.State, out.ExpiresBy = receipt.StateExpires, a.Reach.By
	case exeunt.TierAccount:
		out.State = receipt.StateWhole
	case exeunt.TierTold:
		out.State = receipt.StatePending
		if d := a.Delivery; a.Lost {
			out.State = receipt.StateUnknown
		} else if d != nil {
			tellsOf(d, &out)
		}
	default:
		out.State = receipt.StateUntold
	}
	return out
}

func tellsOf(d *exeunt.Delivery, out *receipt.App) {
	switch d.State {
	case exeunt.DeliveryConfirmed:
		out.State, out.ToldAt = receipt.StateTold, d.Finished
		return
	case exeunt.DeliveryRefused:
		out.State = receipt.StateRefused
	case exeunt.DeliveryGaveUp:
		out.State = receipt.StateGaveUp
	}
	out.Attempts = d.Attempts
}
