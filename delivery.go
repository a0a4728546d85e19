package exeunt

import "time"

// DeliveryState says how far an app has been told of an end.
type DeliveryState string

const (
	// DeliveryPending: it has not been told yet, as far as is known, and will be tried.
	DeliveryPending DeliveryState = "pending"
	// DeliveryConfirmed: it has answered that it knows.
	DeliveryConfirmed DeliveryState = "confirmed"
	// DeliveryRefused: it has answered that it does not accept the notice.
	DeliveryRefused DeliveryState = "refused"
	// DeliveryGaveUp: it could not be told for as long as that is tried.
	DeliveryGaveUp DeliveryState = "gave_up"
)

// Delivery is the telling of one app of one end, by OpenID Connect Back-Channel Logout 1.0.
type Delivery struct {
	Account  AccountID
	Session  SessionID // whose end it is; zero: of every session of the account
	Client   ClientID
	Seq      int64     // number of the event
	At       time.Time // when that was recorded
	State    DeliveryState
	Attempts int64     // that have begun
	Due      time.Time // while pending: when it is tried next; while it is being tried, when another node may
	GiveUp   time.Time // while pending: after which it is not tried again
	Error    string    // what the last attempt met: a word for programs, "" if it was well
	Finished time.Time // when it was pending no more; zero while it is
}

// DeliveryTotals say how it stands with the deliveries to a client.
type DeliveryTotals struct {
	Client  ClientID
	Pending Total
	Since   time.Time // since when the oldest of them is pending
	Error   string    // what that one met last
}
