// Package operate does for operators what concerns sessions and clients: it lists sessions,
// accounts, groups and audit entries, ends sessions, registers clients, and exports what is stored about somebody.
//
// It owns the rules of that, for every surface that operators use, and refuses all
// other actors. The authority ends the sessions. Changes of accounts, also those
// that operators make, belong to account.
package operate

import (
	"context"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/fanout"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/store"
)

// Service is safe for concurrent use. Each of its methods may return ErrForbidden,
// when the actor is no operator; ErrNotFound, when there is no such account,
// session, group or client; and the authority's errors.
type Service struct {
	Authority *authority.Authority
	Store     *store.Store // for clients
	Notify    *notify.Service
	Fanout    *fanout.Service // for webhooks
	// ClientsChanged has this node read the clients again, so that whoever was told of a change finds it made. The
	// others learn of it by the log.
	ClientsChanged func(context.Context)
}

// List is a page of a list.
type List[T any] struct {
	exeunt.Page[T]
	exeunt.Total // entries on all pages; only on the first page
}

func check(by exeunt.Actor) error {
	if by.Kind != exeunt.ActorOperator {
		return exeunt.ErrForbidden
	}
	return nil
}

// Status is the state of the node.
type Status struct {
	Ready    bool   // it can check and record
	Problem  string // why not
	Accounts int64
	Sessions int64 // that have not ended
	InMemory int   // tokens that are answered without the database
	LogHead  int64 // number of the last event
	// Deliveries to apps that are pending, of each client that has any.
	Deliveries []exeunt.DeliveryTotals
	Webhooks   []exeunt.MessageTotals // of each with messages that are pending or were given up lately
	Mails      exeunt.MailTotals
	SendsMails bool // a mail server is configured
}

// Status returns the state of the node.
func (s *Service) Status(ctx context.Context, by exeunt.Actor) (st Status, err error) {
	if err := check(by); err != nil {
		return st, err
	}
	st.InMemory = s.Authority.Known()
	st.Accounts, st.Sessions, st.LogHead, err = s.Authority.Count(ctx)
	if err == nil {
		st.Deliveries, err = s.Authority.DeliveryTotals(ctx)
	}
	if err == nil {
		st.Webhooks, err = s.Store.MessageTotals(ctx)
	}
	if err == nil {
		st.Mails, err = s.Notify.Totals(ctx)
	}
	st.SendsMails = s.Notify.Enabled()
	if problem := s.Authority.Problem(ctx); problem != nil {
		st.Problem = problem.Error()
	}
	st.Ready = err == nil && st.Problem == ""
	return st, err
}

// Sessions lists the sessions of the account with that handle, or all sessions if
// the handle is "".
func (s *Service) Sessions(ctx context.Context, by exeunt.Actor, handle string, f exeunt.SessionFilter) (
	out List[exeunt.Session], err error) {
	if err := check(by); err != nil {
		return out, err
	}
	if f.Everyone = handle == ""; !f.Everyone {
		a, err := s.Account(ctx, by, handle)
		if err != nil {
			return out, err
		}
		f.Account = a.ID
	}
	if out.Page, err = s.Authority.Sessions(ctx, f); err == nil && f.After == "" {
		out.Count, err = s.Authority.CountSessions(ctx, f)
	}
	return out, err
}

// Session returns a session of any account.
func (s *Service) Session(ctx context.Context, by exeunt.Actor, id exeunt.SessionID) (exeunt.Session, error) {
	if err := check(by); err != nil {
		return exeunt.Session{}, err
	}
	account, err := s.Authority.AccountOf(ctx, id)
	if err != nil {
		return exeunt.Session{}, err
	}
	return s.Authority.Session(ctx, account, id)
}

// EndSession ends a session of any account.
func (s *Service) EndSession(ctx context.Context, by exeunt.Actor, id exeunt.SessionID) (authority.Ending, error) {
	v, err := s.Session(ctx, by, id)
	if err != nil {
		return authority.Ending{}, err
	}
	return s.end(ctx, by, exeunt.Target{Account: v.Account, Scope: exeunt.ScopeSession, Session: v.ID})
}

// EndSessions ends every session of an account.
func (s *Service) EndSessions(ctx context.Context, by exeunt.Actor, handle string) (authority.Ending, error) {
	a, err := s.Account(ctx, by, handle)
	if err != nil {
		return authority.Ending{}, err
	}
	return s.end(ctx, by, exeunt.Target{Account: a.ID, Scope: exeunt.ScopeAccount})
}

func (s *Service) end(ctx context.Context, by exeunt.Actor, t exeunt.Target) (authority.Ending, error) {
	return s.Authority.End(ctx, by, exeunt.Revocation{Target: t, Reason: exeunt.ReasonAdministrator})
}

// Accounts lists the accounts.
func (s *Service) Accounts(ctx context.Context, by exeunt.Actor, f exeunt.AccountFilter) (
	out List[exeunt.Account], err error) {
	if err := check(by); err != nil {
		return out, err
	}
	if out.Page, err = s.Authority.Accounts(ctx, f); err == nil && f.After == "" {
		out.Count, _, _, err = s.Authority.Count(ctx)
	}
	return out, err
}

// Account returns the account with that handle.
func (s *Service) Account(ctx context.Context, by exeunt.Actor, handle string) (exeunt.Account, error) {
	if err := check(by); err != nil {
		return exeunt.Account{}, err
	}
	return s.Authority.AccountByHandle(ctx, handle)
}

// Groups lists the groups.
func (s *Service) Groups(ctx context.Context, by exeunt.Actor, f exeunt.GroupFilter) (
	out List[exeunt.Group], err error) {
	if err := check(by); err != nil {
		return out, err
	}
	if out.Page, err = s.Authority.Groups(ctx, f); err == nil && f.After == "" {
		out.Count, err = s.Authority.CountGroups(ctx)
	}
	return out, err
}

// Members lists the members of a group; ErrNotFound when there is no such group.
func (s *Service) Members(ctx context.Context, by exeunt.Actor, f exeunt.MemberFilter) (
	out List[exeunt.Member], err error) {
	if err := check(by); err != nil {
		return out, err
	}
	g, err := s.Authority.Group(ctx, f.Group)
	if err != nil {
		return out, err
	}
	if f.After == "" {
		out.Count = g.Members
	}
	out.Page, err = s.Authority.Members(ctx, f)
	return out, err
}

// Audit lists what was done to an account, latest first.
func (s *Service) Audit(ctx context.Context, by exeunt.Actor, handle string, f exeunt.AuditFilter) (
	out List[exeunt.AuditEntry], err error) {
	a, err := s.Account(ctx, by, handle)
	if err != nil {
		return out, err
	}
	f.Account = a.ID
	if out.Page, err = s.Authority.Audit(ctx, f); err == nil && f.After == "" {
		out.Total, err = s.Authority.CountAudit(ctx, f)
	}
	return out, err
}
