package exeunt

import "time"

// MailState says how far a mail has got.
type MailState string

const (
	// MailPending: no server has accepted it yet, as far as is known, and it will be tried.
	MailPending MailState = "pending"
	// MailSent: the mail server has accepted it.
	MailSent MailState = "sent"
	// MailRefused: the mail server has refused it for good.
	MailRefused MailState = "refused"
	// MailGaveUp: it could not be sent for as long as that is tried, or was replaced by newer ones.
	MailGaveUp MailState = "gave_up"
)

// MailStates are all states.
var MailStates = []MailState{MailPending, MailSent, MailRefused, MailGaveUp}

// Mail is one mail to one address. To whom it goes and what it says are no fields: they are sealed.
type Mail struct {
	ID       MailID
	Account  AccountID // whom it is for; zero: a test
	Template string
	State    MailState
	Created  time.Time
	Attempts int64     // that have begun
	Due      time.Time // while pending: when it is tried next; while it is being tried, when another node may
	GiveUp   time.Time // after which it is not tried again
	Error    string    // what the last attempt met; "" if it was well
	Finished time.Time // when it was pending no more; zero while it is
}

// MailFilter says which mails to list, latest first, and which part of the list.
type MailFilter struct {
	State MailState // "" is all
	After Cursor
	Limit int // see PageSize
}

// MailTotals say how many mails are pending, and how many failed lately.
type MailTotals struct{ Pending, Failed Total }
