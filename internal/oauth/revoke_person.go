package oauth

import (
	"context"
	"net/netip"
	"net/url"
	"strings"

	"github.com/exeunt/exeunt"
)

// Subject names somebody (RFC 9493 section 3). Which fields count is said by Format.
type Subject struct {
	Format  string `json:"format"`
	Email   string `json:"email"`
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	ID      string `json:"id"`
	URI     string `json:"uri"`
}

// The formats of Subject that are known here (RFC 9493 section 3.2).
const (
	SubjectAccount = "account" // acct:HANDLE@HOST (RFC 7565)
	SubjectEmail   = "email"
	SubjectIssuer  = "iss_sub"
	SubjectOpaque  = "opaque" // the account's ID
)

// RevokePerson ends every session of somebody because a client that may revoke wants them out (Global Token Revocation,
// draft-parecki-oauth-global-token-revocation section 3). It is done again if it is asked for again. Outcomes:
//   - nil: recorded on stable storage.
//   - ErrForbidden: the client may not revoke.
//   - a Refusal: the subject is malformed, or of a format that is not known here.
//   - ErrNotFound: nobody is meant by it.
//   - ThrottledError, and the errors of authority.End.
func (s *Service) RevokePerson(ctx context.Context, c exeunt.Client, sub Subject, from netip.Addr) error {
	if !c.MayRevoke || c.Public() {
		return exeunt.ErrForbidden
	}
	if err := s.Authority.CountRevocation(c.ID, from); err != nil {
		return err
	}
	a, err := s.person(ctx, sub)
	if err != nil {
		return err
	}
	if a.Status == exeunt.AccountDeleted {
		return exeunt.ErrNotFound
	}
	// An operator let the client do this, and the label says which one did.
	by := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "client " + string(c.ID), Address: from}
	_, err = s.Authority.End(ctx, by, exeunt.Revocation{Reason: exeunt.ReasonRevoked,
		Target: exeunt.Target{Account: a.ID, Scope: exeunt.ScopeAccount}})
	return err
}

func (s *Service) person(ctx context.Context, sub Subject) (a exeunt.Account, err error) {
	malformed := &Refusal{"invalid_request", "the subject identifier (sub_id) is malformed, so nothing was changed"}
	switch sub.Format {
	case SubjectEmail:
		if !strings.Contains(strings.Trim(sub.Email, "@"), "@") {
			return a, malformed
		}
		return s.Authority.AccountByEmail(ctx, sub.Email)
	case SubjectIssuer:
		if sub.Issuer == "" || sub.Subject == "" {
			return a, malformed
		}
		if sub.Issuer != s.Issuer { // of another issuer's people nothing is known
			return a, exeunt.ErrNotFound
		}
		return s.accountOf(ctx, sub.Subject)
	case SubjectOpaque:
		if sub.ID == "" {
			return a, malformed
		}
		return s.accountOf(ctx, sub.ID)
	case SubjectAccount:
		name, isAccount := strings.CutPrefix(sub.URI, "acct:")
		at := strings.LastIndex(name, "@")
		if !isAccount || at <= 0 {
			return a, malformed
		}
		here, err := url.Parse(s.Issuer)
		if err != nil || !strings.EqualFold(name[at+1:], here.Host) && !strings.EqualFold(name[at+1:], here.Hostname()) {
			return a, exeunt.ErrNotFound
		}
		return s.Authority.AccountByHandle(ctx, name[:at])
	}
	return a, &Refusal{"invalid_request", "subject identifiers (sub_id) of this format are not known here, so nothing was " +
		"changed: use email, iss_sub, opaque or account"}
}

func (s *Service) accountOf(ctx context.Context, text string) (exeunt.Account, error) {
	id, err := exeunt.ParseAccountID(text)
	if err != nil {
		return exeunt.Account{}, exeunt.ErrNotFound
	}
	return s.Authority.Account(ctx, id)
}
