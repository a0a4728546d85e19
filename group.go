package exeunt

import (
	"regexp"
	"time"
)

// Group is a set of accounts that operators keep for apps to read. It exists while it has members.
type Group struct {
	Name    string // see ValidGroup
	Members int64
}

// Member is an account in a group.
type Member struct {
	Account AccountID
	Handle  string
	Name    string
	Status  AccountStatus
	Since   time.Time
}

// MaxGroups is in how many groups an account is at most: every app reads all of them, in one header.
const MaxGroups = 64

var groupShape = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// ValidGroup reports whether a text can be the name of a group: 1 to 63 of a–z, 0–9, ".", "-" and "_", beginning with
// a letter or digit. A capital is refused and not changed: apps compare names exactly.
func ValidGroup(name string) bool { return groupShape.MatchString(name) }

// GroupFilter says which part of the list of groups is wanted, sorted by name.
type GroupFilter struct {
	After Cursor
	Limit int // see PageSize
}

// MemberFilter says which part of a group's members is wanted, those first that have been in it longest.
type MemberFilter struct {
	Group string
	After Cursor
	Limit int // see PageSize
}
