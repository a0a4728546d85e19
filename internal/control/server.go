package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/web"
)

// Server answers operators.
type Server struct {
	Authority *authority.Authority
	SignIn    *signin.Service
	Surface   web.Surface // its Fail is Server.Fail
	Status    func(*http.Request) (Status, error)
	Link      func(exeunt.Token) string // the address of a link that makes an account
	ResetLink func(exeunt.Token) string // the address of a link that sets a new password
	Now       func() time.Time
}

// maxSocketPath is the longest path a Unix socket can have on Linux, less what
// the folder it is made in adds.
const maxSocketPath = 107 - len("/s0123456789")

// Listen makes the socket in a data folder. The caller holds the folder's
// lock, so a socket that is there already is left over from a crash.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketFile)
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the data folder's path is too long for a control socket (%d characters, at most %d): %s", len(path), maxSocketPath, path)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := listenPrivately(path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

// listenPrivately makes the socket in a folder that is its owner's alone and
// moves it into place once nobody else may open it, whoever may enter the data
// folder.
func listenPrivately(path string) (net.Listener, error) {
	private, err := os.MkdirTemp(filepath.Dir(path), "s") // 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	inside := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: inside, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it is not where it was made; the next start removes it
	err = os.Chmod(inside, 0o600)
	if err == nil {
		err = os.Rename(inside, path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Handler returns the calls.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]web.Handler{
		"GET /status":                           s.status,
		"GET /sessions":                         s.sessions,
		"GET /sessions/{id}":                    s.session,
		"POST /sessions/{id}/end":               s.endSession,
		"GET /accounts":                         s.accounts,
		"POST /accounts":                        s.addAccount,
		"POST /accounts/{handle}/disable":       s.disable,
		"POST /accounts/{handle}/enable":        s.enable,
		"POST /accounts/{handle}/end-sessions":  s.endAccount,
		"POST /accounts/{handle}/confirm-email": s.confirmEmail,
		"POST /accounts/{handle}/reset":         s.reset,
		"GET /accounts/{handle}/audit":          s.audit,
		"GET /invites":                          s.invites,
		"POST /invites/{handle}/withdraw":       s.uninvite,
	} {
		mux.Handle(pattern, s.Surface.Handle(h))
	}
	return mux
}

// Fail writes an error as JSON.
func Fail(w http.ResponseWriter, _ *http.Request, status int, err error) {
	f := Failure{Code: exeunt.CodeOf(err), Message: err.Error()}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(f) // the operator's command is gone: nobody is left to tell
}

func reply(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(into); err != nil {
		return fmt.Errorf("%w (%w)", exeunt.ErrBadRequest, err)
	}
	return nil
}

// operator names whoever runs this node's system account: the socket lets in
// nobody else.
func operator() exeunt.Actor {
	a := exeunt.Actor{Kind: exeunt.ActorOperator, Label: "operator"}
	if u, err := user.Current(); err == nil {
		a.Label = u.Username
	}
	return a
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	st, err := s.Status(r)
	if err != nil {
		return err
	}
	return reply(w, st)
}

const listLimit = 1000

func (s *Server) sessions(w http.ResponseWriter, r *http.Request) error {
	out := []Session{}
	if handle := r.FormValue("account"); handle != "" {
		a, err := s.account(r, handle)
		if err != nil {
			return err
		}
		list, err := s.Authority.Sessions(r.Context(), a.ID, r.FormValue("ended") == "1")
		for i := range list {
			out = append(out, s.wire(&list[i], a.Handle))
		}
		if err != nil {
			return err
		}
		return reply(w, out)
	}
	list, handles, err := s.Authority.AllSessions(r.Context(), listLimit)
	if err != nil {
		return err
	}
	for i := range list {
		out = append(out, s.wire(&list[i], handles[list[i].Account]))
	}
	return reply(w, out)
}

func (s *Server) find(r *http.Request) (exeunt.Session, exeunt.Account, error) {
	id, err := exeunt.ParseSessionID(r.PathValue("id"))
	if err != nil {
		return exeunt.Session{}, exeunt.Account{}, noSuch("there is no session " + r.PathValue("id") + "; a session is named like ses_…, see `exeunt sessions list`")
	}
	account, err := s.Authority.AccountOf(r.Context(), id)
	if errors.Is(err, exeunt.ErrNotFound) {
		err = noSuch("there is no session " + r.PathValue("id"))
	}
	if err != nil {
		return exeunt.Session{}, exeunt.Account{}, err
	}
	v, err := s.Authority.Session(r.Context(), account, id)
	if err != nil {
		return v, exeunt.Account{}, err
	}
	a, err := s.Authority.Account(r.Context(), account)
	return v, a, err
}

func (s *Server) session(w http.ResponseWriter, r *http.Request) error {
	v, a, err := s.find(r)
	if err != nil {
		return err
	}
	return reply(w, s.wire(&v, a.Handle))
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request) error {
	v, a, err := s.find(r)
	if err != nil {
		return err
	}
	out, err := s.Authority.End(r.Context(), operator(), exeunt.Revocation{Target: exeunt.Target{Account: a.ID, Scope: exeunt.ScopeSession, Session: v.ID}, Reason: exeunt.ReasonAdministrator})
	if err != nil {
		return err
	}
	return reply(w, Ending{Ended: out.Ended, Already: out.Already})
}

func (s *Server) endAccount(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r, r.PathValue("handle"))
	if err != nil {
		return err
	}
	out, err := s.Authority.End(r.Context(), operator(), exeunt.Revocation{Target: exeunt.Target{Account: a.ID, Scope: exeunt.ScopeAccount}, Reason: exeunt.ReasonAdministrator})
	if err != nil {
		return err
	}
	return reply(w, Ending{Ended: out.Ended, Already: out.Already})
}

func (s *Server) account(r *http.Request, handle string) (exeunt.Account, error) {
	a, err := s.Authority.AccountByHandle(r.Context(), handle)
	if errors.Is(err, exeunt.ErrNotFound) {
		err = noSuch("there is no account @" + strings.TrimPrefix(handle, "@"))
	}
	return a, err
}

// noSuch is ErrNotFound in words that repeat what was asked for.
type noSuch string

func (e noSuch) Error() string { return string(e) }
func (noSuch) Unwrap() error   { return exeunt.ErrNotFound }

func (s *Server) accounts(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Authority.Accounts(r.Context(), r.FormValue("after"), listLimit)
	if err != nil {
		return err
	}
	out := []Account{}
	for i := range list {
		a := &list[i]
		out = append(out, Account{ID: a.ID.String(), Handle: a.Handle, Name: a.Name, Email: a.Email, EmailConfirmed: a.EmailConfirmed,
			Status: string(a.Status), Sessions: a.LiveSessions, Created: a.Created})
	}
	return reply(w, out)
}

// inviteLife is how long a link that an operator makes can be used.
const inviteLife = 7 * 24 * time.Hour

func (s *Server) addAccount(w http.ResponseWriter, r *http.Request) error {
	var n NewAccount
	if err := readBody(w, r, &n); err != nil {
		return err
	}
	if n.Password != "" {
		id, err := s.SignIn.AddAccount(r.Context(), operator(), signin.NewAccount{Handle: n.Handle, Name: n.Name, Email: n.Email, Password: n.Password}, n.EmailConfirmed)
		if err != nil {
			return err
		}
		return reply(w, Added{ID: id.String()})
	}
	t, replaced, err := s.SignIn.Invite(r.Context(), signin.Invitation{
		Handle: n.Handle, Name: n.Name, Email: n.Email, EmailConfirmed: n.EmailConfirmed, Expires: s.Now().Add(inviteLife),
	})
	if err != nil {
		return err
	}
	return reply(w, Added{Link: s.Link(t), Replaced: replaced})
}

// reset makes a link with which the account's owner sets a new password.
func (s *Server) reset(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r, r.PathValue("handle"))
	if err != nil {
		return err
	}
	t, err := s.SignIn.OfferReset(r.Context(), operator(), a)
	if err != nil {
		return err
	}
	return reply(w, Added{ID: a.ID.String(), Link: s.ResetLink(t)})
}

func (s *Server) invites(w http.ResponseWriter, r *http.Request) error {
	list, err := s.SignIn.Invites(r.Context())
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
	n, err := s.SignIn.Uninvite(r.Context(), handle)
	if errors.Is(err, exeunt.ErrNotFound) {
		err = noSuch("no link is open for @" + strings.TrimPrefix(handle, "@"))
	}
	if err != nil {
		return err
	}
	return reply(w, Ending{Ended: n})
}

// audit tells what was done to an account, latest first.
func (s *Server) audit(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r, r.PathValue("handle"))
	if err != nil {
		return err
	}
	list, err := s.Authority.Audit(r.Context(), a.ID, listLimit)
	if err != nil {
		return err
	}
	out := []AuditEntry{}
	for _, e := range list {
		line := AuditEntry{At: e.At, Action: string(e.Action), Session: e.Session.String(), By: string(e.By.Kind), ByLabel: e.By.Label, Detail: e.Detail}
		if e.By.Address.IsValid() {
			line.Address = e.By.Address.String()
		}
		out = append(out, line)
	}
	return reply(w, out)
}

func (s *Server) disable(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r, r.PathValue("handle"))
	if err != nil {
		return err
	}
	if a.Status == exeunt.AccountDisabled {
		return reply(w, Ending{Already: true})
	}
	out, err := s.Authority.Disable(r.Context(), operator(), a.ID)
	if err != nil {
		return err
	}
	return reply(w, Ending{Ended: out.Ended, Already: out.Already})
}

func (s *Server) enable(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r, r.PathValue("handle"))
	if err != nil {
		return err
	}
	if a.Status == exeunt.AccountActive {
		return reply(w, Ending{Already: true})
	}
	if err := s.Authority.Enable(r.Context(), operator(), a.ID); err != nil {
		return err
	}
	return reply(w, Ending{})
}

func (s *Server) confirmEmail(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r, r.PathValue("handle"))
	if err != nil {
		return err
	}
	var in EmailOf
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	if in.Email, err = signin.CleanEmail(in.Email); err != nil {
		return err
	}
	if in.Email, err = s.Authority.ConfirmEmail(r.Context(), operator(), a.ID, in.Email); err != nil {
		return err
	}
	return reply(w, EmailOf{Handle: a.Handle, Email: in.Email})
}

func (s *Server) wire(v *exeunt.Session, handle string) Session {
	out := Session{
		ID: v.ID.String(), Handle: handle, Kind: string(v.Kind), Label: v.Label, UserAgent: v.UserAgent,
		Started: v.Started, Seen: v.Seen, IdleAt: v.IdleAt(), ExpiresAt: v.ExpiresAt,
	}
	if v.Address.IsValid() {
		out.Address = v.Address.String()
	}
	for _, app := range v.Apps {
		if app.End == nil {
			out.Apps = append(out.Apps, string(app.Client))
		}
	}
	if v.End != nil {
		out.Ended = &Ended{At: v.End.At, Reason: string(v.End.Reason), By: string(v.End.By), ByLabel: v.End.ByLabel}
	}
	return out
}
