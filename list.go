package exeunt

// MaxPage is how many entries a page of a list has at most.
const MaxPage = 500

// Cursor is where a page of a list ended, in words that only the store reads.
// The empty one is the list's beginning.
type Cursor string

// Page is a part of a list. It may have fewer entries than were asked for, even
// none, and still not be the last.
type Page[T any] struct {
	Items []T
	Next  Cursor // where the next page begins; "" when the list ends here
}

// PageSize returns how many entries to put on a page when so many are wanted: 0
// and what is above MaxPage become MaxPage.
func PageSize(wanted int) int {
	if wanted <= 0 || wanted > MaxPage {
		return MaxPage
	}
	return wanted
}

// SessionFilter says which sessions to list, and which part of the list.
//
// An account's active sessions come by their sign-in, latest first, and its ended
// ones by their end, latest first. Those of every account come by their sign-in.
type SessionFilter struct {
	Account  AccountID
	Everyone bool         // of every account, for operators; only active ones
	State    SessionState // "" is SessionsActive
	After    Cursor
	Limit    int // see PageSize
}

// SessionState tells active sessions from ended ones.
type SessionState string

const (
	// SessionsActive have not ended.
	SessionsActive SessionState = "active"
	// SessionsEnded have.
	SessionsEnded SessionState = "ended"
)

// AccountFilter says which part of the list of accounts is wanted. They come in
// the order of their handles.
type AccountFilter struct {
	After Cursor
	Limit int // see PageSize
}

// AuditFilter says which audit entries to list, latest first, and which part of
// the list.
type AuditFilter struct {
	Account AccountID
	After   Cursor
	Limit   int // see PageSize
}
