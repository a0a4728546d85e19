package oauth

import (
	"context"
	"net/netip"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
)

// ErrOtherClient answers a client that presents another one's token (RFC 6749 section 5.2, RFC 7009 section 2.1).
var ErrOtherClient = &Refusal{"invalid_grant", "this token belongs to another client, so nothing was changed"}

// Revoke ends the app session that a token of the client is for (RFC 7009 section 2.1): an access token or a refresh
// token. An app with a session of its own ends that. It returns nil also if there is nothing to end; ErrOtherClient;
// and the errors of authority.End.
func (s *Service) Revoke(ctx context.Context, c exeunt.Client, text string, from netip.Addr) error {
	t, found, err := s.targetOf(ctx, c, text)
	if err != nil || !found {
		return err
	}
	by := exeunt.Actor{Kind: exeunt.ActorPerson, Account: t.Account, Session: t.Session, App: t.AppSession, Address: from}
	_, err = s.Authority.End(ctx, by, exeunt.Revocation{Target: t, Reason: exeunt.ReasonSignedOut})
	return err
}

// targetOf returns what there is to end. An app session that hangs on a browser's session ends alone.
func (s *Service) targetOf(ctx context.Context, c exeunt.Client, text string) (t exeunt.Target, found bool, err error) {
	t = exeunt.Target{Scope: exeunt.ScopeSession}
	var kind exeunt.SessionKind
	if token, malformed := exeunt.ParseToken(text); malformed == nil && token.Use().OfApp() {
		ans := s.Authority.Check(ctx, authority.Credential{Token: token, Use: authority.AsBearer})
		switch {
		case ans.State == authority.Indeterminate:
			return t, false, exeunt.ErrUnavailable
		case !ans.Usable() && ans.State != authority.TimedOut:
			return t, false, nil
		case ans.Client != c.ID:
			return t, false, ErrOtherClient
		}
		t.Account, t.Session, t.AppSession, kind = ans.Account, ans.Session, ans.App, ans.Kind
	} else {
		app, ok, err := s.OfRefreshToken(ctx, c, text)
		switch {
		case err != nil || app.ID.IsZero():
			return t, false, err
		case !ok:
			return t, false, ErrOtherClient
		}
		parent, err := s.Authority.Session(ctx, app.Account, app.Session)
		if err != nil {
			return t, false, err
		}
		t.Account, t.Session, t.AppSession, kind = app.Account, app.Session, app.ID, parent.Kind
	}
	if kind == exeunt.KindApp { // the device has it for this app alone
		t.AppSession = exeunt.AppSessionID{}
	}
	return t, true, nil
}
