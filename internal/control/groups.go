package control

import (
	"errors"
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
)

func (s *Server) groups(w http.ResponseWriter, r *http.Request) error {
	var f exeunt.GroupFilter
	var err error
	if f.After, f.Limit, err = paging(r); err != nil {
		return err
	}
	list, err := s.Operate.Groups(r.Context(), operator(r), f)
	if err != nil {
		return err
	}
	return replyList(w, list, func(g *exeunt.Group) Group { return Group{Name: g.Name, Members: g.Members} })
}

func (s *Server) members(w http.ResponseWriter, r *http.Request) error {
	f := exeunt.MemberFilter{Group: r.PathValue("group")}
	var err error
	if f.After, f.Limit, err = paging(r); err != nil {
		return err
	}
	list, err := s.Operate.Members(r.Context(), operator(r), f)
	if err != nil {
		return notFoundAs(err, "there is no group "+f.Group+": look at `exeunt groups list`")
	}
	return replyList(w, list, func(m *exeunt.Member) Member {
		return Member{ID: m.Account.String(), Handle: m.Handle, Name: m.Name, Status: string(m.Status), Since: m.Since}
	})
}

func (s *Server) addToGroup(w http.ResponseWriter, r *http.Request) error {
	return s.changeGroup(w, r, false)
}

func (s *Server) removeFromGroup(w http.ResponseWriter, r *http.Request) error {
	return s.changeGroup(w, r, true)
}

func (s *Server) changeGroup(w http.ResponseWriter, r *http.Request, remove bool) error {
	var in Handles
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	group := r.PathValue("group")
	done, err := s.Accounts.ChangeGroup(r.Context(), operator(r), group, in.Handles, remove)
	var unknown *account.UnknownHandleError
	if errors.As(err, &unknown) {
		if near := s.nearAccount(r, unknown.Handle); near != "" {
			return noSuch("there is no account @" + unknown.Handle + ", so nothing was changed: did you mean @" + near + "?")
		}
	}
	if err != nil {
		return err
	}
	return reply(w, GroupChange{Group: group, Changed: append([]string{}, done.Changed...),
		Already: append([]string{}, done.Already...)})
}
