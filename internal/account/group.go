package account

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// MaxMembersAtOnce is how many accounts one change of a group names at most: all of them are in one transaction, for
// which other writes wait.
const MaxMembersAtOnce = 100

// GroupChanged says what a change of a group did, by handles in the order in which they were given.
type GroupChanged struct {
	Changed []string
	Already []string // were in the group before, or not in it
}

// UnknownHandleError names a handle that no account has.
type UnknownHandleError struct{ Handle string }

func (e *UnknownHandleError) Error() string {
	return "there is no account @" + e.Handle + ", so nothing was changed: look at `exeunt accounts list`"
}

// Unwrap returns ErrNotFound.
func (*UnknownHandleError) Unwrap() error { return exeunt.ErrNotFound }

// ChangeGroup puts accounts into a group for an operator, or takes them out: all of them or, with an error, none. A
// group is made by its first member and goes with its last. Outcomes: nil; ErrForbidden; ErrGroupName;
// ErrManyAtOnce; ErrManyGroups; an UnknownHandleError; ErrUnavailable or ErrNotConfirmed.
func (s *Service) ChangeGroup(
	ctx context.Context, by exeunt.Actor, group string, handles []string, remove bool,
) (GroupChanged, error) {
	var out GroupChanged
	switch {
	case by.Kind != exeunt.ActorOperator:
		return out, exeunt.ErrForbidden
	case !exeunt.ValidGroup(group):
		return out, fmt.Errorf("group %q: %w", group, exeunt.ErrGroupName)
	case len(handles) > MaxMembersAtOnce:
		return out, ErrManyAtOnce
	}
	change := store.GroupChange{Group: group, Remove: remove}
	of := map[exeunt.AccountID]string{}
	for _, handle := range handles {
		a, err := s.Authority.AccountByHandle(ctx, handle)
		if errors.Is(err, exeunt.ErrNotFound) {
			err = &UnknownHandleError{strings.TrimPrefix(handle, "@")}
		}
		if err != nil {
			return out, err
		}
		if of[a.ID] == "" {
			of[a.ID] = a.Handle
			change.Accounts = append(change.Accounts, a.ID)
		}
	}
	changed, err := s.Store.ChangeGroup(ctx, change, by, s.Now())
	if err != nil {
		return out, err
	}
	now := map[exeunt.AccountID]bool{}
	for _, id := range changed {
		now[id] = true
	}
	for _, id := range change.Accounts {
		if now[id] {
			out.Changed = append(out.Changed, of[id])
		} else {
			out.Already = append(out.Already, of[id])
		}
	}
	return out, nil
}

// ErrManyAtOnce is the answer to a change of more than MaxMembersAtOnce.
var ErrManyAtOnce = &exeunt.Error{Code: "too_many_accounts",
	Message: fmt.Sprintf("At most %d accounts are changed at once, so nothing was changed. Name fewer, and repeat it for "+
		"the others.", MaxMembersAtOnce)}
