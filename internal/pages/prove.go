package pages

import (
	"context"
	"net/http"
	"slices"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// proving has somebody who is signed in prove who they are before a change that a stranger at their screen must not
// make, by fields of the same form. Whoever has proved it a short while ago is not asked.
type proving struct {
	p     *Pages
	r     *http.Request
	v     web.Visitor
	anew  bool // it was proved by this form, or this form adds to it
	proof exeunt.Proof
}

func (p *Pages) proving(r *http.Request, v web.Visitor) *proving { return &proving{p: p, r: r, v: v} }

// prove is an account.Prove.
func (x *proving) prove(ctx context.Context) (exeunt.Proof, error) {
	session, err := x.p.thisSession(ctx, x.v)
	if err != nil {
		return exeunt.Proof{}, err
	}
	proof, fresh, err := x.p.SignIn.Fresh(ctx, session, x.p.Policy.Fresh)
	if err != nil || fresh {
		x.proof = proof
		return proof, err
	}
	by := x.v.Actor(x.r, x.p.Peers)
	by.Label = label(x.r)
	x.proof, err = signin.Proof(x.p.SignIn.Confirm(ctx, by, signin.Confirmation{Password: x.r.PostFormValue("current"),
		Code: x.r.PostFormValue("code"), Passkey: x.r.PostFormValue("passkey"), Asked: x.p.asked(x.r)}))
	x.anew = err == nil
	return x.proof, err
}

// password is prove for changes that ask for the password in any case (OWASP ASVS 5.0, 6.2.3), and for a factor, if the
// account has one, unless that was proved a short while ago. An account that has no password needs a passkey alone.
func (x *proving) password(ctx context.Context) (exeunt.Proof, error) {
	a, err := x.p.Authority.Account(ctx, x.v.Answer.Account)
	if err != nil {
		return exeunt.Proof{}, err
	}
	proof, err := x.prove(ctx)
	if err != nil || a.PasswordSet.IsZero() || x.anew && x.r.PostFormValue("passkey") == "" {
		return proof, err
	}
	return proof, x.p.SignIn.KnowsPassword(ctx, x.v.Actor(x.r, x.p.Peers), x.r.PostFormValue("current"))
}

// done lets the session go on with another token and the new proof (OWASP ASVS 5.0, 7.2.4), so that the next form does
// not ask again. token is the session's by now. The change is made already: if this fails, the next form asks.
func (x *proving) done(w http.ResponseWriter, token exeunt.Token) {
	if !x.anew {
		x.p.setPair(w, x.v, token)
		return
	}
	if token.IsZero() {
		token = x.v.Token
	}
	a, err := x.p.Authority.Account(x.r.Context(), x.v.Answer.Account)
	key, malformed := formKey(x.r)
	if err == nil {
		err = malformed
	}
	if err == nil {
		x.proof.Generation, x.proof.CredentialVersion = a.Generation, a.CredentialVersion
		token, _, err = x.p.Authority.Start(x.r.Context(), authority.SignIn{Proof: x.proof, Kind: x.v.Answer.Kind,
			Label: label(x.r), UserAgent: x.r.UserAgent(), Address: x.p.Peers.Address(x.r), Replaces: x.v.Answer.Session,
			Renews: token, GoesOn: true, Key: key})
	}
	if err != nil {
		x.p.Log.Warn("a session cannot go on with its new proof", "session", x.v.Answer.Session, "err", err)
		return
	}
	x.p.setPair(w, x.v, token)
}

// refused keeps a proof of a form that was refused for something else: the code that it was made with is used up, so the
// next press must not need it again. The second of two presses gets the credential that the first one has led to.
func (x *proving) refused(w http.ResponseWriter) {
	if x.anew {
		x.done(w, exeunt.Token{})
		return
	}
	again, ok := w.(*ifDone)
	if ok && x.provesAgain() {
		again.then()
	}
}

// provesAgain reports whether the form has what an earlier one has proved it by.
func (x *proving) provesAgain() bool {
	ctx, by := x.r.Context(), x.v.Actor(x.r, x.p.Peers)
	if answer := x.r.PostFormValue("passkey"); answer != "" {
		return x.p.SignIn.ConfirmedBy(ctx, x.p.asked(x.r), answer, by)
	}
	return x.p.SignIn.KnowsPassword(ctx, by, x.r.PostFormValue("current")) == nil
}

// withFactor adds to the proof the factor that was just added: its code was right. So the session goes on with it, and the
// next form does not ask whoever has just set it up.
func (x *proving) withFactor(m exeunt.Method) {
	if len(x.proof.Methods) > 0 && !slices.Contains(x.proof.Methods, m) {
		x.proof.Methods, x.anew = append(slices.Clone(x.proof.Methods), m), true
	}
}

// askAgain has forms ask again for a proof from now on.
func (p *Pages) askAgain(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	if err := p.Authority.AskAgain(r.Context(), v.Actor(r, p.Peers)); err != nil {
		return err
	}
	if to := r.PostFormValue("return"); to == "/settings" {
		return redirect(w, to)
	}
	return redirect(w, "/security")
}

// proof is what a form must ask for.
func (p *Pages) proof(ctx context.Context, v web.Visitor, wrong error) (out ui.Proof, err error) {
	session, err := p.thisSession(ctx, v)
	if err != nil {
		return out, err
	}
	out = ui.Proof{Handle: v.Profile.Handle, Err: wrong, At: session.Proved, Until: session.Proved.Add(p.Policy.Fresh)}
	_, fresh, err := p.SignIn.Fresh(ctx, session, p.Policy.Fresh)
	if err != nil {
		return out, err
	}
	out.Needed = !fresh
	methods, err := p.SignIn.Needs(ctx, v.Answer.Account)
	if err != nil {
		return out, err
	}
	out.App, out.Passkey = slices.Contains(methods, exeunt.MethodTOTP), slices.Contains(methods, exeunt.MethodPasskey)
	out.Code = out.App || slices.Contains(methods, exeunt.MethodRecovery)
	a, err := p.Authority.Account(ctx, v.Answer.Account)
	out.NoPassword = a.PasswordSet.IsZero()
	return out, err
}
