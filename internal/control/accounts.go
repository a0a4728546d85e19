package control

import (
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
)

func (s *Server) endAccount(w http.ResponseWriter, r *http.Request) error {
	out, err := s.Operate.EndSessions(r.Context(), operator(r), r.PathValue("handle"))
	if err != nil {
		return s.noAccount(r, err, r.PathValue("handle"))
	}
	return reply(w, Ending{Ended: out.Ended, Already: out.Already})
}

// account returns the account whose handle is in the path.
func (s *Server) account(r *http.Request) (exeunt.Account, error) {
	a, err := s.Operate.Account(r.Context(), operator(r), r.PathValue("handle"))
	return a, s.noAccount(r, err, r.PathValue("handle"))
}

func (s *Server) accounts(w http.ResponseWriter, r *http.Request) error {
	var f exeunt.AccountFilter
	var err error
	if f.After, f.Limit, err = paging(r); err != nil {
		return err
	}
	list, err := s.Operate.Accounts(r.Context(), operator(r), f)
	if err != nil {
		return err
	}
	return replyList(w, list, accountWire)
}

func accountWire(a *exeunt.Account) Account {
	return Account{ID: a.ID.String(), Handle: a.Handle, Name: a.Name, Email: a.Email, EmailConfirmed: a.EmailConfirmed,
		Status: string(a.Status), DeleteAfter: a.DeleteAfter, Groups: append([]string{}, a.Groups...), Sessions: a.LiveSessions, Created: a.Created}
}

func (s *Server) oneAccount(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r)
	if err != nil {
		return err
	}
	factors, codes, err := s.Accounts.Factors(r.Context(), operator(r), a)
	if err != nil {
		return err
	}
	out := accountWire(&a)
	out.Factors, out.RecoveryCodes = factorWires(factors), codes.Left
	return reply(w, out)
}

func factorWires(list []exeunt.Factor) (out []Factor) {
	for _, f := range list {
		out = append(out, Factor{ID: f.ID.String(), Kind: string(f.Kind), Name: f.Name, Created: f.Created, Used: f.Used})
	}
	return out
}

// removeFactor removes a factor that its owner has lost, or all.
func (s *Server) removeFactor(w http.ResponseWriter, r *http.Request) error {
	var in FactorToRemove
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	a, err := s.account(r)
	if err != nil {
		return err
	}
	var id exeunt.FactorID
	if in.ID != "" {
		if err := id.UnmarshalText([]byte(in.ID)); err != nil || id.IsZero() {
			return noSuch("there is no such factor: look at `exeunt accounts show " + a.Handle + "`")
		}
	}
	removed, out, err := s.Accounts.DropFactors(r.Context(), operator(r), a, id)
	if err != nil {
		return notFoundAs(err, "@"+a.Handle+" has no such factor: look at `exeunt accounts show "+a.Handle+"`")
	}
	return reply(w, FactorsRemoved{Handle: a.Handle, Removed: factorWires(removed), Ended: out.Ended})
}

// removePicture removes a picture that nobody should have to see.
func (s *Server) removePicture(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r)
	if err != nil {
		return err
	}
	removed, err := s.Accounts.RemovePicture(r.Context(), operator(r), exeunt.Token{}, a.ID)
	if err != nil {
		return err
	}
	return reply(w, Ending{Handle: a.Handle, Already: !removed})
}

func (s *Server) addAccount(w http.ResponseWriter, r *http.Request) error {
	var n NewAccount
	if err := readBody(w, r, &n); err != nil {
		return err
	}
	if n.Password != "" {
		id, err := s.Accounts.AddAccount(r.Context(), operator(r),
			account.NewAccount{Handle: n.Handle, Name: n.Name, Email: n.Email, Password: n.Password}, n.EmailConfirmed)
		if err != nil {
			return err
		}
		return reply(w, Added{ID: id.String(), Handle: spelled(n.Handle)})
	}
	t, replaced, err := s.Accounts.Invite(r.Context(), account.Invitation{
		Handle: n.Handle, Name: n.Name, Email: n.Email, EmailConfirmed: n.EmailConfirmed,
		Expires: s.Accounts.Now().Add(account.InviteLife),
	})
	if err != nil {
		return err
	}
	s.Surface.Log.Info("an operator made a one-time link for a new account", "handle", spelled(n.Handle),
		"by", operator(r).Label)
	return reply(w, Added{Handle: spelled(n.Handle), Link: s.Link(t), Replaced: replaced})
}

// reset makes a link with which the account's owner sets a new password.
func (s *Server) reset(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r)
	if err != nil {
		return err
	}
	t, err := s.Accounts.OfferReset(r.Context(), operator(r), a)
	if err != nil {
		return err
	}
	s.Surface.Log.Info("an operator made a one-time link for a new password", "account", a.ID, "by", operator(r).Label)
	return reply(w, Added{ID: a.ID.String(), Handle: a.Handle, Link: s.ResetLink(t)})
}

func (s *Server) invites(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Accounts.Invites(r.Context())
	if err != nil {
		return err
	}
	out := []Invite{}
	for _, v := range list {
		i := Invite{For: "account", Handle: v.Handle, Name: v.Name, Email: v.Email, Expires: v.Expires}
		switch {
		case !v.Account.IsZero():
			i.For = "password"
		case v.Handle == "":
			i.For = "first account"
		}
		out = append(out, i)
	}
	return reply(w, out)
}

func (s *Server) uninvite(w http.ResponseWriter, r *http.Request) error {
	handle := r.PathValue("handle")
	n, err := s.Accounts.Uninvite(r.Context(), handle)
	if err != nil {
		return notFoundAs(err, "no link is open for @"+spelled(handle))
	}
	s.Surface.Log.Info("an operator withdrew one-time links", "handle", spelled(handle), "by", operator(r).Label)
	return reply(w, Ending{Handle: spelled(handle), Ended: n})
}

func (s *Server) disable(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r)
	if err != nil {
		return err
	}
	out, err := s.Accounts.Disable(r.Context(), operator(r), a)
	if err != nil {
		return err
	}
	return reply(w, Ending{Handle: a.Handle, Ended: out.Ended, Already: out.Already})
}

func (s *Server) enable(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r)
	if err != nil {
		return err
	}
	already, err := s.Accounts.Enable(r.Context(), operator(r), a)
	if err != nil {
		return err
	}
	return reply(w, Ending{Handle: a.Handle, Already: already})
}

// deleteAccount begins the deletion of an account.
func (s *Server) deleteAccount(w http.ResponseWriter, r *http.Request) error {
	var in Deletion
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	a, err := s.account(r)
	if err != nil {
		return err
	}
	out, err := s.Accounts.Delete(r.Context(), operator(r), a, in.Now)
	if err != nil {
		return err
	}
	if a, err = s.account(r); err != nil {
		return err
	}
	return reply(w, Deletion{Handle: a.Handle, Now: in.Now, After: a.DeleteAfter, Ended: out.Ended, Already: out.Already})
}

// secureAccount ends everything of an account that somebody else may have used.
func (s *Server) secureAccount(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r)
	if err != nil {
		return err
	}
	out, err := s.Accounts.Secure(r.Context(), operator(r), a.ID)
	if err != nil {
		return err
	}
	return reply(w, Ending{Handle: a.Handle, Ended: out.Ended})
}

func (s *Server) keepAccount(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r)
	if err != nil {
		return err
	}
	already, err := s.Accounts.Keep(r.Context(), operator(r), a, exeunt.TokenHash{})
	if err != nil {
		return err
	}
	return reply(w, Ending{Handle: a.Handle, Already: already})
}

func (s *Server) confirmEmail(w http.ResponseWriter, r *http.Request) error {
	var in EmailOf
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	a, err := s.account(r)
	if err != nil {
		return err
	}
	if in.Email, err = s.Accounts.ConfirmEmail(r.Context(), operator(r), a.ID, in.Email); err != nil {
		return err
	}
	return reply(w, EmailOf{Handle: a.Handle, Email: in.Email})
}
