package pages

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// entry is what a sign-in form says besides who somebody is. Between two steps it is stored with the challenge, so that
// the second form cannot say otherwise.
type entry struct {
	Kind   exeunt.SessionKind `json:"kind"`
	Return string             `json:"return,omitempty"`
	Key    string             `json:"key,omitempty"`
}

func formEntry(r *http.Request) (entry, error) {
	key, err := formKey(r)
	return entry{Kind: formKind(r), Return: returnPath(r.PostFormValue("return")), Key: key}, err
}

func readEntry(form string) (e entry) {
	if json.Unmarshal([]byte(form), &e) != nil {
		return entry{Kind: exeunt.KindShared, Return: "/"}
	}
	return e
}

// askMore gives the browser the challenge and shows what is needed next, at the same address.
func (p *Pages) askMore(w http.ResponseWriter, e entry, more *exeunt.FactorRequiredError) error {
	p.Browser.Cookies.SetChallenge(w, more.Challenge)
	return redirect(w, withReturn("/signin", e.Return))
}

// step returns the challenge that this browser may answer on the way to a page. Whoever comes for another page, another
// app's say, begins there.
func (p *Pages) step(r *http.Request, back string) (*ui.SignInStepView, bool) {
	t := p.Browser.Cookies.ReadChallenge(r)
	if t.IsZero() {
		return nil, false
	}
	pending, err := p.SignIn.Pending(r.Context(), t)
	if err != nil || readEntry(pending.Form).Return != back {
		return nil, false
	}
	view := &ui.SignInStepView{Handle: pending.Account.Handle, Methods: pending.Methods, Challenge: challengeName(t),
		Return: notFront(back)}
	if view.May(exeunt.MethodPasskey) && p.SignIn.HasPasskeys() {
		ask, err := p.SignIn.AskSecond(r.Context(), t, pending.Account.ID)
		if err != nil {
			return nil, false
		}
		view.Ask = string(ask)
	}
	return view, true
}

// challengeName names a challenge in its form, so that a form of an earlier one answers none.
func challengeName(t exeunt.Token) string { return t.Hash().String()[:16] }

func (p *Pages) showStep(
	w http.ResponseWriter, r *http.Request, v web.Visitor, status int, view *ui.SignInStepView,
) error {
	view.Frame = p.frame(r, v, "")
	if q, err := p.appRequestIn(r, view.Return); err == nil {
		view.Client = &q.App
		allow(w, q)
	}
	return p.show(w, status, view)
}

// signInCode takes the code that is the second step of a sign-in, and starts the session.
func (p *Pages) signInCode(w http.ResponseWriter, r *http.Request) error {
	v := p.visit(r)
	if err := v.Doubt(); err != nil && !v.Renewed() {
		return err
	}
	t := p.Browser.Cookies.ReadChallenge(r)
	pending, err := p.SignIn.Pending(r.Context(), t)
	if err == nil && r.PostFormValue("challenge") != challengeName(t) {
		err = exeunt.ErrChallengeOver
	}
	in := readEntry(pending.Form)
	if err == nil {
		by := exeunt.Actor{Kind: exeunt.ActorPerson, Address: p.Peers.Address(r), Label: label(r)}
		reply := signin.Reply{Code: r.PostFormValue("code"), Passkey: r.PostFormValue("passkey")}
		answered, refused := p.SignIn.Answer(r.Context(), t, reply, by)
		if errors.Is(refused, exeunt.ErrDeleting) {
			return p.askToKeep(w, r, in, answered.Proof)
		}
		if err = refused; err == nil {
			err = p.enterByCode(w, r, v, in, answered.Proof)
		}
	}
	status := refusal(w, err)
	if status == 0 {
		return err
	}
	over := errors.Is(err, exeunt.ErrChallengeOver) || errors.Is(err, exeunt.ErrSignInAgain)
	if view, ok := p.step(r, in.Return); ok && !over {
		view.Err = err
		return p.showStep(w, r, v, status, view)
	}
	if !t.IsZero() {
		p.Browser.Cookies.ClearChallenge(w)
	}
	if errors.Is(err, exeunt.ErrChallengeOver) && v.SignedIn() && v.Answer.Account == pending.Account.ID {
		return redirect(w, in.Return) // the form of a step that was taken in another tab
	}
	return p.showSignIn(w, r, v, status, &ui.SignInView{Kind: p.lastKind(r), Return: notFront(in.Return), Err: err})
}

// enterByCode starts the session. Whoever needed a recovery code has probably lost what holds the factor, and with it a
// session: the next page proposes what to do.
func (p *Pages) enterByCode(
	w http.ResponseWriter, r *http.Request, v web.Visitor, in entry, proof exeunt.Proof,
) error {
	if proof.Methods[len(proof.Methods)-1] == exeunt.MethodRecovery {
		in.Return = withReturn("/recovered", in.Return)
	}
	done := &ifDone{ResponseWriter: w, then: func() { p.Browser.Cookies.ClearChallenge(w) }}
	return p.enter(done, r, v, in, proof)
}

// signInAnew forgets the challenge: whoever has begun to sign in starts again.
func (p *Pages) signInAnew(w http.ResponseWriter, r *http.Request) error {
	if t := p.Browser.Cookies.ReadChallenge(r); !t.IsZero() {
		if err := p.SignIn.Forget(r.Context(), t); err != nil {
			return err
		}
		p.Browser.Cookies.ClearChallenge(w)
	}
	return redirect(w, withReturn("/signin", returnPath(r.PostFormValue("return"))))
}

// recovered says how many recovery codes are left, and proposes what somebody does who has lost a phone.
func (p *Pages) recovered(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	live, err := p.toEnd(r.Context(), v)
	if err != nil {
		return err
	}
	view := &ui.RecoveredView{Frame: p.frame(r, v, ui.NavSecurity), Others: live.count - 1,
		Return: returnPath(r.URL.Query().Get("return"))}
	if _, view.Codes, err = p.SignIn.Factors(r.Context(), v.Answer.Account); err != nil {
		return err
	}
	return p.show(w, http.StatusOK, view)
}
