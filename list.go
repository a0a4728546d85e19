package exeunt

// MaxPage is how many entries a page of a list has at most.
const MaxPage = 500

// Total is how many entries there are. More of them were not counted if AtLeast is set.
type Total struct {
	Count   int64
	AtLeast bool
}

// Cursor says where a page of a list ended; only the store reads it. The empty cursor is the list's beginning.
type Cursor string

// Page is a part of a list. It may have fewer entries than were asked for, even none, without being the last.
type Page[T any] struct {
	Items []T
	Next  Cursor // where the next page begins; "" when the list ends here
}

// PageSize returns how many entries to put on a page: wanted, or MaxPage if that is 0 or more than MaxPage.
func PageSize(wanted int) int {
	if wanted <= 0 || wanted > MaxPage {
		return MaxPage
	}
	return wanted
}

// SessionFilter says which sessions to list, and which part of the list.
//
// An account's active sessions are sorted by their sign-in, its ended ones by when their end was recorded, and those of
// every account by their sign-in; always latest first.
type SessionFilter struct {
	Account  AccountID
	Everyone bool         // of every account, for operators; only active ones
	State    SessionState // "" is SessionsActive
	Search   string       // only those that Session.Matches; of one account
	After    Cursor
	Limit    int // see PageSize
}

// SessionState is whether a session is active or has ended.
type SessionState string

const (
	// SessionsActive have not ended.
	SessionsActive SessionState = "active"
	// SessionsEnded have ended.
	SessionsEnded SessionState = "ended"
)

// AccountFilter says which part of the list of accounts is wanted, sorted by handle.
type AccountFilter struct {
	After Cursor
	Limit int // see PageSize
}

// AuditFilter says which audit entries to list, latest first, and which part of the list.
type AuditFilter struct {
	Account AccountID
	// Only says which entries are wanted; nil wants all. A page may then have fewer than Limit, or none, and others
	// after it: each reads a bounded number of entries.
	Only  func(AuditEntry) bool
	After Cursor
	Limit int // see PageSize
}
