package pages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// deviceForm asks for the code that a device shows (RFC 8628 section 3.3). One that comes with the address is filled in,
// and no more: whoever sent the link may have the device.
func (p *Pages) deviceForm(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.show(w, http.StatusOK, &ui.DeviceView{Frame: p.frame(r, v, ""), UserCode: r.URL.Query().Get("user_code")})
}

// device says which device waits, and asks whether to sign it in.
func (p *Pages) device(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	typed := r.PostFormValue("user_code")
	d, err := p.OAuth.FindDevice(r.Context(), v.Answer, typed)
	if err == nil && !d.Waits() {
		err = exeunt.ErrUserCode
	}
	if err != nil {
		return p.askForCode(w, r, v, typed, err)
	}
	return p.show(w, http.StatusOK, &ui.DeviceView{
		Frame: p.frame(r, v, ""), UserCode: oauth.PrintUserCode(d.UserCode), Client: &d.App, Scopes: d.Scopes,
		Address: d.Address, Agent: labelOf(d.UserAgent), Email: v.Profile.Email, Groups: v.Profile.Groups,
	})
}

func (p *Pages) askForCode(w http.ResponseWriter, r *http.Request, v web.Visitor, typed string, err error) error {
	if errors.Is(err, exeunt.ErrUserCode) {
		err = &exeunt.FieldError{Field: "user_code", Code: "unknown", Err: exeunt.ErrUserCode}
	}
	status := refusal(w, err)
	if status == 0 {
		return err
	}
	return p.show(w, status, &ui.DeviceView{Frame: p.frame(r, v, ""), UserCode: typed[:min(len(typed), 40)], Err: err})
}

// decideDevice signs the device in, or has it told that the person declined. Sent twice, it answers the same.
func (p *Pages) decideDevice(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	typed, allow := r.PostFormValue("user_code"), r.PostFormValue("decision") == "continue"
	d, err := p.OAuth.FindDevice(r.Context(), v.Answer, typed)
	switch {
	case err != nil:
	case !d.Waits() && d.Allowed() != allow:
		err = exeunt.ErrUserCode
	case !d.Waits():
	case !allow:
		err = p.OAuth.DeclineDevice(r.Context(), v.Answer, d)
	case !d.App.Admits(v.Profile.Groups):
		err = exeunt.ErrNotAdmitted
	default:
		if !d.App.FirstParty {
			err = p.Authority.Allow(r.Context(), v.Actor(r, p.Peers), d.App, d.Scopes)
		}
		if err == nil {
			err = p.OAuth.AllowDevice(r.Context(), v.Answer, v.Token.Hash(), d)
		}
	}
	if errors.Is(err, exeunt.ErrFactorNeeded) {
		return redirect(w, requiredPath(d.Client, "/device?"+url.Values{"user_code": {oauth.PrintUserCode(d.UserCode)}}.Encode()))
	}
	if err != nil {
		return p.askForCode(w, r, v, typed, err)
	}
	return p.show(w, http.StatusOK, &ui.DeviceView{Frame: p.frame(r, v, ""), Client: &d.App, Decided: true, Allowed: allow})
}
