package authority

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
)

// Recorded is what is stored of an ending.
type Recorded = store.Recorded

// ReceiptSessions is of how many sessions that ended together a receipt knows the apps.
const ReceiptSessions = 50

// Ending returns what is stored of the ending with that number and time. ErrReceiptGone when nothing is any more;
// ErrBusyLists; ErrUnavailable.
func (a *Authority) Ending(ctx context.Context, seq int64, at time.Time) (Recorded, error) {
	r, err := a.store.Ending(ctx, seq, at)
	if err != nil {
		return r, err
	}
	done, err := a.receipts.enter(ctx, r.Account)
	if err != nil {
		return r, err
	}
	defer done()
	return r, a.store.AddEnded(ctx, &r, ReceiptSessions)
}

// CountReceipt counts that a receipt of an ending is signed. ThrottledError when that is asked for too often.
func (a *Authority) CountReceipt(r *Recorded, from netip.Addr) error {
	_, err := a.count(exeunt.LimitReceipts, perEndingReceipt, strconv.FormatInt(r.Seq, 10), from)
	return err
}
