package authority

import (
	"context"
	"time"
)

// AppUsedSince reports whether an app session was used after a moment, on this node or another.
func (a *Authority) AppUsedSince(ctx context.Context, ans Answer, since time.Time) (bool, error) {
	if ans.SeenAt().After(since) {
		return true, nil
	}
	seen, err := a.store.AppSeen(ctx, ans.Account, ans.App)
	return err == nil && seen.After(since), err
}
