package authority

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/names"
)

// listLimit bounds how many sessions of an account are looked at, the newest, for those to declare ended before a list
// is read.
const listLimit = 500

// Sessions returns a page of sessions; the active ones of one account are sorted by activity, latest first, if all of
// them are on the page. Those of the account's newest sessions that have timed out are declared ended first, and no list
// shows one as active.
func (a *Authority) Sessions(ctx context.Context, f exeunt.SessionFilter) (exeunt.Page[exeunt.Session], error) {
	if !f.Everyone {
		if err := a.declareOverdue(ctx, f.Account); err != nil {
			return exeunt.Page[exeunt.Session]{}, err
		}
	}
	p, err := a.store.Sessions(ctx, f)
	if err != nil || f.State == exeunt.SessionsEnded {
		return p, err
	}
	for i := range p.Items {
		a.refreshSeen(&p.Items[i])
	}
	now := a.now()
	// Sessions whose end is being recorded are no longer active.
	p.Items = slices.DeleteFunc(p.Items, func(s exeunt.Session) bool { return s.Overdue(now) != "" })
	if !f.Everyone && f.After == "" && p.Next == "" {
		slices.SortStableFunc(p.Items, func(x, y exeunt.Session) int { return y.Seen.Compare(x.Seen) })
	}
	return p, nil
}

// listing bounds how many readings of one account's lists run at a time, so that one account does not use up the
// connections with which everybody reads.
type listing struct {
	mu sync.Mutex
	of map[exeunt.AccountID]*turns
}

type turns struct {
	running chan struct{}
	wanted  int // those that run, and those that wait
}

const (
	maxListings        = 2 // at a time: people look at lists in a few tabs
	maxListingsWaiting = 16
)

// Listing waits for the caller's turn to read lists of an account; done ends it. It returns ErrBusyLists if too many
// wait already.
func (a *Authority) Listing(ctx context.Context, account exeunt.AccountID) (done func(), err error) {
	return a.listing.enter(ctx, account)
}

func (l *listing) enter(ctx context.Context, account exeunt.AccountID) (done func(), err error) {
	l.mu.Lock()
	t := l.of[account]
	if t == nil {
		t = &turns{running: make(chan struct{}, maxListings)}
		l.of[account] = t
	}
	full := t.wanted >= maxListings+maxListingsWaiting
	if !full {
		t.wanted++
	}
	l.mu.Unlock()
	if full {
		return nil, exeunt.ErrBusyLists
	}
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if t.wanted--; t.wanted == 0 {
			delete(l.of, account)
		}
	}
	select {
	case t.running <- struct{}{}:
		return func() { <-t.running; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// CountSessions returns how many sessions are recorded as active, or as ended, on all pages together.
func (a *Authority) CountSessions(ctx context.Context, f exeunt.SessionFilter) (int64, error) {
	return a.store.CountSessions(ctx, f)
}

// Session returns one session of the account. It returns ErrNotFound also for another account's session.
func (a *Authority) Session(
	ctx context.Context, account exeunt.AccountID, id exeunt.SessionID,
) (exeunt.Session, error) {
	s, err := a.store.Session(ctx, account, id)
	if err == nil {
		a.refreshSeen(&s)
	}
	return s, err
}

// refreshSeen sets the last activity, and its address, to those of memory, if the store does not have them yet.
func (a *Authority) refreshSeen(s *exeunt.Session) {
	if from, ok := a.addresses.get(s.ID); ok && s.End == nil {
		s.LastAddress = from
	}
	if seen, ok := a.live.SeenAt(s.ID); ok && s.End == nil && seen.After(s.Seen) {
		s.Seen = seen
	}
}

// declareOverdue asks the store before it saves any activity, so that a list waits for no commit. If the store calls
// a session overdue because it does not have the latest activity yet, declare finds out.
func (a *Authority) declareOverdue(ctx context.Context, account exeunt.AccountID) error {
	overdue, err := a.store.OverdueOf(ctx, account, a.now(), listLimit)
	if err != nil {
		return err
	}
	for _, o := range overdue {
		if err := a.declare(ctx, o.Account, o.Session, o.Reason); err != nil {
			return err
		}
	}
	return nil
}

// SaveProfile saves a changed profile, then updates memory. It goes on when the caller goes away, because the commit
// may happen all the same and memory must have it.
func (a *Authority) SaveProfile(
	ctx context.Context, id exeunt.AccountID, save func(context.Context) (exeunt.Profile, error),
) (exeunt.Profile, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.patience)
	defer cancel()
	p, err := save(ctx)
	if err == nil {
		a.live.SetProfile(id, p)
	}
	return p, err
}

// Profile returns the profile of an answer's account. It reads the store when memory does not have it;
// ErrUnavailable if that fails.
func (a *Authority) Profile(ctx context.Context, ans Answer) (exeunt.Profile, error) {
	if p, ok := a.live.Profile(ans); ok {
		return p, nil
	}
	p, err := a.store.Profile(ctx, ans.Account)
	if err == nil {
		a.live.SetProfile(ans.Account, p)
	}
	return p, err
}

// ProfileOf returns the profile of an account, or ErrNotFound.
func (a *Authority) ProfileOf(ctx context.Context, id exeunt.AccountID) (exeunt.Profile, error) {
	return a.store.Profile(ctx, id)
}

// AccountByHandle returns the account that a handle names, or ErrNotFound.
func (a *Authority) AccountByHandle(ctx context.Context, handle string) (exeunt.Account, error) {
	h, ok := exeunt.ParseHandle(names.Key(handle))
	if !ok {
		return exeunt.Account{}, fmt.Errorf("account %q: %w", handle, exeunt.ErrNotFound)
	}
	acct, _, err := a.store.Identify(ctx, h)
	return acct, err
}

// AccountByEmail returns the account that has confirmed an address, or ErrNotFound.
func (a *Authority) AccountByEmail(ctx context.Context, address string) (exeunt.Account, error) {
	key := names.Key(address)
	if strings.HasPrefix(key, "@") || !strings.Contains(key, "@") { // a handle
		return exeunt.Account{}, fmt.Errorf("account of an address: %w", exeunt.ErrNotFound)
	}
	acct, _, err := a.store.Identify(ctx, key)
	return acct, err
}

// Audit returns a page of an account's audit entries.
func (a *Authority) Audit(ctx context.Context, f exeunt.AuditFilter) (exeunt.Page[exeunt.AuditEntry], error) {
	return a.store.Audit(ctx, f)
}

// MaxDownload is how many audit entries a download has at most.
const MaxDownload = 1000

// Download returns the newest MaxDownload of an account's audit entries, and whether there are older ones, which it does
// not have. Outcomes: nil; ErrBusyLists; ThrottledError; ErrUnavailable.
func (a *Authority) Download(
	ctx context.Context, f exeunt.AuditFilter,
) (list []exeunt.AuditEntry, older bool, err error) {
	if _, err := a.count(exeunt.LimitDownloads, perAccountDownload, f.Account.String(), netip.Addr{}); err != nil {
		return nil, false, err
	}
	done, err := a.Listing(ctx, f.Account)
	if err != nil {
		return nil, false, err
	}
	defer done()
	f.After, f.Limit = "", exeunt.MaxPage
	for range MaxDownload/exeunt.MaxPage + 1 {
		p, err := a.Audit(ctx, f)
		if err != nil {
			return nil, false, err
		}
		list, older = append(list, p.Items...), p.Next != ""
		if f.After = p.Next; !older || len(list) >= MaxDownload {
			break
		}
	}
	if len(list) > MaxDownload {
		list, older = list[:MaxDownload], true
	}
	return list, older, nil
}

// AppSession returns one app session of the account, or ErrNotFound.
func (a *Authority) AppSession(
	ctx context.Context, account exeunt.AccountID, id exeunt.AppSessionID,
) (exeunt.AppSession, error) {
	return a.store.AppSession(ctx, account, id)
}

// CountAudit returns how many entries there are on all pages together, or at least that many.
func (a *Authority) CountAudit(ctx context.Context, f exeunt.AuditFilter) (exeunt.Total, error) {
	return a.store.CountAudit(ctx, f)
}

// Accounts returns a page of the accounts.
func (a *Authority) Accounts(ctx context.Context, f exeunt.AccountFilter) (exeunt.Page[exeunt.Account], error) {
	return a.store.Accounts(ctx, f)
}

// Groups returns a page of the groups.
func (a *Authority) Groups(ctx context.Context, f exeunt.GroupFilter) (exeunt.Page[exeunt.Group], error) {
	return a.store.Groups(ctx, f)
}

// CountGroups returns how many groups there are.
func (a *Authority) CountGroups(ctx context.Context) (int64, error) { return a.store.CountGroups(ctx) }

// Group returns a group, or ErrNotFound.
func (a *Authority) Group(ctx context.Context, name string) (exeunt.Group, error) {
	if !exeunt.ValidGroup(name) {
		return exeunt.Group{}, fmt.Errorf("group %q: %w", name, exeunt.ErrNotFound)
	}
	return a.store.Group(ctx, name)
}

// Members returns a page of a group's members.
func (a *Authority) Members(ctx context.Context, f exeunt.MemberFilter) (exeunt.Page[exeunt.Member], error) {
	return a.store.Members(ctx, f)
}

// Count returns how many accounts there are, how many sessions have not ended, and the number of the last event.
func (a *Authority) Count(ctx context.Context) (accounts, sessions, head int64, err error) {
	if accounts, sessions, err = a.store.Count(ctx); err == nil {
		head, err = a.store.Head(ctx)
	}
	return accounts, sessions, head, err
}

// Deliveries returns which apps are told of the end of a session, and how far that is.
func (a *Authority) Deliveries(
	ctx context.Context, account exeunt.AccountID, session exeunt.SessionID,
) ([]exeunt.Delivery, error) {
	return a.store.Deliveries(ctx, account, session)
}

// DeliveryTotals says how it stands with the pending deliveries of each client that has any.
func (a *Authority) DeliveryTotals(ctx context.Context) ([]exeunt.DeliveryTotals, error) {
	return a.store.DeliveryTotals(ctx)
}

// AccountOf returns the account of a session, or ErrNotFound.
func (a *Authority) AccountOf(ctx context.Context, id exeunt.SessionID) (exeunt.AccountID, error) {
	return a.store.AccountOf(ctx, id)
}
