package operate

import (
	"context"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// BeginExport returns the account whose owner gets what is stored about them, and the sections that Exported has. The
// audit names the operator.
func (s *Service) BeginExport(ctx context.Context, by exeunt.Actor, handle string, now time.Time) (
	a exeunt.Account, sections []string, err error) {
	if a, err = s.Account(ctx, by, handle); err != nil {
		return a, nil, err
	}
	entry := exeunt.AuditEntry{At: now, Account: a.ID, Action: exeunt.AuditExported, By: by}
	return a, store.PersonalSections(), s.Store.AddAudit(ctx, entry)
}

// Exported returns a page of a section of what is stored about somebody. Sessions and what was done to the account have
// lists of their own.
func (s *Service) Exported(
	ctx context.Context, by exeunt.Actor, handle, section string, after exeunt.Cursor, limit int,
) (p exeunt.Page[map[string]any], err error) {
	a, err := s.Account(ctx, by, handle)
	if err != nil {
		return p, err
	}
	return s.Store.PersonalRecords(ctx, a.ID, section, after, limit)
}
