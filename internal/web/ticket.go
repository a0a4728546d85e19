package web

import (
	"strings"

	"github.com/exeunt/exeunt"
)

// A sign-out ticket ends one session and is good for nothing else. A page has it before it is needed, so that a sign-out
// without network can be completed later, by a browser that has given up its credential by then. It is the session's ID
// with an authentication code: nothing of it is stored, and it stays the same for as long as the session lasts.
const ticketText = "sign-out ticket "

// Ticket is the sign-out ticket of a session.
func (c Cookies) Ticket(id exeunt.SessionID) string {
	return id.String() + "." + c.Tickets.Code(ticketText+id.String())
}

// OpenTicket returns the session that a ticket ends, and false if Ticket did not return it, or too long ago.
func (c Cookies) OpenTicket(text string) (exeunt.SessionID, bool) {
	name, code, _ := strings.Cut(text, ".")
	id, err := exeunt.ParseSessionID(name)
	return id, err == nil && c.Tickets.IsCode(ticketText+id.String(), code)
}
