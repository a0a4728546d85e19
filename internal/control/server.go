package control

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
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
	Link      func(exeunt.Token) string // the address of a one-time link
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
		return exeunt.Session{}, exeunt.Account{}, fmt.Errorf("session %q: %w", r.PathValue("id"), exeunt.ErrNotFound)
	}
	account, err := s.Authority.AccountOf(r.Context(), id)
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
	out, err := s.Authority.End(r.Context(), operator(), exeunt.Revocation{
		Account: a.ID, Scope: exeunt.ScopeSession, Session: v.ID, Reason: exeunt.ReasonAdministrator,
	})
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
	out, err := s.Authority.End(r.Context(), operator(), exeunt.Revocation{Account: a.ID, Scope: exeunt.ScopeAccount, Reason: exeunt.ReasonAdministrator})
	if err != nil {
		return err
	}
	return reply(w, Ending{Ended: out.Ended, Already: out.Already})
}

func (s *Server) account(r *http.Request, handle string) (exeunt.Account, error) {
	return s.Authority.AccountByHandle(r.Context(), handle)
}

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
	t, err := s.SignIn.Invite(r.Context(), signin.Invitation{
		Handle: n.Handle, Name: n.Name, Email: n.Email, EmailConfirmed: n.EmailConfirmed, Expires: s.Now().Add(inviteLife),
	})
	if err != nil {
		return err
	}
	return reply(w, Added{Link: s.Link(t)})
}

func (s *Server) disable(w http.ResponseWriter, r *http.Request) error {
	a, err := s.account(r, r.PathValue("handle"))
	if err != nil {
		return err
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
