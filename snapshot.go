package exeunt

import (
	"net/netip"
	"time"
)

// Profile is what apps and pages get to know of an account.
type Profile struct {
	Version int64 // rises with every change
	Handle  string
	Name    string
	Email   string // only when confirmed
	Display Display
	Groups  []string // names, sorted
	Picture PictureName
}

// Snapshot is a session as one moment of the store saw it, with its position in the log.
type Snapshot struct {
	Seq               int64 // the log's head at the moment of the snapshot
	Hash              TokenHash
	Session           Session
	AccountGeneration int64
	Profile           Profile
	App               *AppSession // with its own hash in AppHash; nil for a session alone
	AppHash           TokenHash
	// NotAdmitted: the account is in none of the groups that the app session's client is for. The app session is of no
	// use, though its row may not say so yet.
	NotAdmitted bool
}

// Activity is the last use of a session or, where App is not zero, of that app session.
type Activity struct {
	Account AccountID
	Session SessionID
	App     AppSessionID
	Seen    time.Time
	Address netip.Addr // zero: none was seen, so the one before stays
}

// Overdue names a session that has timed out and is to be declared ended.
type Overdue struct {
	Account AccountID
	Session SessionID
	Reason  Reason
}
