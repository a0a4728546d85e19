package control

import (
	"errors"
	"net/http"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/nearest"
)

// nearPages is how many pages of accounts are searched for what a mistyped handle may have meant.
const nearPages = 10

// noAccount says that there is no such account, and which one may have been meant.
func (s *Server) noAccount(r *http.Request, err error, handle string) error {
	if !errors.Is(err, exeunt.ErrNotFound) {
		return err
	}
	handle = spelled(handle)
	text := "there is no account @" + handle
	if near := s.nearAccount(r, handle); near != "" {
		text += ": did you mean @" + near + "?"
	}
	return noSuch(text)
}

// nearAccount returns the handle of an account that is near to another one; "" if there is none among those with the
// same first letter, or in larger installations among the first of these.
func (s *Server) nearAccount(r *http.Request, handle string) string {
	if _, ok := exeunt.ParseHandle(handle); !ok {
		return "" // what is no handle may not even be text
	}
	var handles []string
	f := exeunt.AccountFilter{After: exeunt.Cursor(handle[:1])}
	for range nearPages {
		page, err := s.Operate.Accounts(r.Context(), operator(r), f)
		if err != nil {
			return "" // that the account does not exist is the answer all the same
		}
		for i := range page.Items {
			if !strings.HasPrefix(page.Items[i].Handle, handle[:1]) {
				return nearest.To(handle, handles)
			}
			handles = append(handles, page.Items[i].Handle)
		}
		if f.After = page.Next; f.After == "" {
			break
		}
	}
	return nearest.To(handle, handles)
}

// noClient says that there is no such client, and which one may have been meant.
func (s *Server) noClient(err error, r *http.Request) error {
	if !errors.Is(err, exeunt.ErrNotFound) {
		return err
	}
	id := r.PathValue("id")
	var ids []string
	if list, err := s.Operate.Clients(r.Context(), operator(r), "", 0); err == nil {
		for i := range list.Items {
			ids = append(ids, string(list.Items[i].ID))
		}
	}
	if near := nearest.To(id, ids); near != "" {
		return noSuch("there is no client " + id + ": did you mean " + near + "?")
	}
	return noSuch("there is no client " + id + ": `exeunt clients list` has them all")
}
