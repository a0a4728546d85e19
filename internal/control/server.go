package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/operate"
	"github.com/exeunt/exeunt/internal/web"
)

// Server answers operators.
type Server struct {
	Operate      *operate.Service
	Accounts     *account.Service
	Surface      web.Surface // its Fail is the function Fail
	Version, URL string      // of the node
	Started      time.Time
	Link         func(exeunt.Token) string // the address of a link that makes an account
	ResetLink    func(exeunt.Token) string // the address of a link that sets a new password
}

// maxSocketPath is the longest path of a Unix socket on Linux, less the name of the
// temporary folder in which it is created.
const maxSocketPath = 107 - len("/s0123456789")

// Listen creates the socket in a data folder. The caller holds the folder's lock,
// so an existing socket is left over from a crash.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketFile)
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the data folder's path is too long for the control socket: use one at least %d characters shorter (%s)",
			len(path)-maxSocketPath, path)
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

// listenPrivately creates the socket in a private folder and moves it into place
// after its mode is set. Others may have access to the data folder, and must at no
// time be able to open the socket.
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
	l.SetUnlinkOnClose(false) // it will be moved; the next start removes it
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
		"GET /status":                             s.status,
		"GET /sessions":                           s.sessions,
		"GET /sessions/{id}":                      s.session,
		"POST /sessions/{id}/end":                 s.endSession,
		"GET /accounts":                           s.accounts,
		"POST /accounts":                          s.addAccount,
		"POST /accounts/import":                   s.importAccounts,
		"POST /accounts/{handle}/disable":         s.disable,
		"POST /accounts/{handle}/enable":          s.enable,
		"POST /accounts/{handle}/delete":          s.deleteAccount,
		"POST /accounts/{handle}/secure":          s.secureAccount,
		"POST /accounts/{handle}/keep":            s.keepAccount,
		"POST /accounts/{handle}/end-sessions":    s.endAccount,
		"POST /accounts/{handle}/confirm-email":   s.confirmEmail,
		"POST /accounts/{handle}/reset":           s.reset,
		"POST /accounts/{handle}/remove-factor":   s.removeFactor,
		"POST /accounts/{handle}/remove-picture":  s.removePicture,
		"GET /accounts/{handle}/audit":            s.audit,
		"GET /accounts/{handle}":                  s.oneAccount,
		"POST /accounts/{handle}/export":          s.beginExport,
		"GET /accounts/{handle}/export/{section}": s.exported,
		"GET /groups":                             s.groups,
		"GET /groups/{group}/members":             s.members,
		"POST /groups/{group}/add":                s.addToGroup,
		"POST /groups/{group}/remove":             s.removeFromGroup,
		"GET /clients":                            s.clients,
		"POST /clients":                           s.addClient,
		"GET /clients/{id}":                       s.client,
		"POST /clients/{id}/set":                  s.setClient,
		"POST /clients/{id}/rotate-secret":        s.rotateSecret,
		"POST /clients/{id}/remove":               s.removeClient,
		"GET /mails":                              s.mails,
		"GET /mails/{id}":                         s.mail,
		"POST /mails/test":                        s.testMail,
		"POST /mails/reach":                       s.reachMail,
		"POST /mails/{id}/retry":                  s.retryMail,
		"GET /webhooks":                           s.webhooks,
		"POST /webhooks/{name}/test":              s.testWebhook,
		"GET /invites":                            s.invites,
		"POST /invites/{handle}/withdraw":         s.uninvite,
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
	_ = json.NewEncoder(w).Encode(f) // the command has gone away
}

func reply(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	return readLong(w, r, into, 1<<16)
}

func readLong(w http.ResponseWriter, r *http.Request, into any, limit int64) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)).Decode(into); err != nil {
		return fmt.Errorf("%w (%w)", exeunt.ErrBadRequest, err)
	}
	return nil
}

type peerKey struct{}

// Peer notes in a connection's context who is at the other end, for the audit. It is the ConnContext of the server
// that serves the socket.
func Peer(ctx context.Context, c net.Conn) context.Context {
	if uid, ok := peerOf(c); ok {
		ctx = context.WithValue(ctx, peerKey{}, uid)
	}
	return ctx
}

// operator returns the user whose program calls. Where the system does not tell, it is the user who runs this node:
// nobody else but root can open the socket.
func operator(r *http.Request) exeunt.Actor {
	uid, ok := r.Context().Value(peerKey{}).(int)
	if !ok {
		uid = os.Getuid()
	}
	return Operator(uid)
}

// Operator is a user of this machine as an actor, with the user's name if there is one.
func Operator(uid int) exeunt.Actor {
	a := exeunt.Actor{Kind: exeunt.ActorOperator, Label: fmt.Sprintf("uid %d", uid)}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		a.Label = fmt.Sprintf("%s (uid %d)", u.Username, uid)
	}
	return a
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	st, err := s.Operate.Status(r.Context(), operator(r))
	if err != nil {
		return err
	}
	out := Status{Version: s.Version, URL: s.URL, Started: s.Started, Ready: st.Ready, Accounts: st.Accounts,
		Sessions: st.Sessions, InMemory: st.InMemory, LogHead: st.LogHead, Problem: st.Problem}
	out.Mails = &MailTotals{On: st.SendsMails, Pending: st.Mails.Pending.Count, PendingAtLeast: st.Mails.Pending.AtLeast,
		Failed: st.Mails.Failed.Count, FailedAtLeast: st.Mails.Failed.AtLeast}
	for _, d := range st.Deliveries {
		out.Notices = append(out.Notices, Notices{Client: string(d.Client), Pending: d.Pending.Count,
			AtLeast: d.Pending.AtLeast, Since: d.Since, Error: d.Error})
	}
	for _, t := range st.Webhooks {
		out.Webhooks = append(out.Webhooks, webhookTotals(t, t.Webhook))
	}
	return reply(w, out)
}

// paging reads where in a list to begin, and how many entries to return.
func paging(r *http.Request) (after exeunt.Cursor, limit int, err error) {
	if text := r.FormValue("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil {
			return "", 0, fmt.Errorf("limit %q: %w", text, exeunt.ErrBadRequest)
		}
	}
	return exeunt.Cursor(r.FormValue("after")), limit, nil
}

func replyList[T, W any](w http.ResponseWriter, list operate.List[T], wire func(*T) W) error {
	out := Page[W]{Items: []W{}, Total: list.Count, TotalAtLeast: list.AtLeast, Next: string(list.Next)}
	for i := range list.Items {
		out.Items = append(out.Items, wire(&list.Items[i]))
	}
	return reply(w, out)
}

func (s *Server) sessions(w http.ResponseWriter, r *http.Request) error {
	f, handle := exeunt.SessionFilter{State: exeunt.SessionState(r.FormValue("state"))}, r.FormValue("account")
	var err error
	if f.After, f.Limit, err = paging(r); err != nil {
		return err
	}
	list, err := s.Operate.Sessions(r.Context(), operator(r), handle, f)
	if err != nil {
		return s.noAccount(r, err, handle)
	}
	return replyList(w, list, sessionWire)
}

// sessionID reads the session's ID in the path.
func sessionID(r *http.Request) (exeunt.SessionID, error) {
	id, err := exeunt.ParseSessionID(r.PathValue("id"))
	if err != nil {
		err = noSuch("there is no session " + r.PathValue("id") + ": use an ID like ses_… from `exeunt sessions list`")
	}
	return id, err
}

func (s *Server) session(w http.ResponseWriter, r *http.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	v, err := s.Operate.Session(r.Context(), operator(r), id)
	if err != nil {
		return notFoundAs(err, "there is no session "+id.String())
	}
	return reply(w, sessionWire(&v))
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	out, err := s.Operate.EndSession(r.Context(), operator(r), id)
	if err != nil {
		return notFoundAs(err, "there is no session "+id.String())
	}
	return reply(w, Ending{Ended: out.Ended, Already: out.Already})
}

// spelled is a handle as accounts have it, or as it was given if none can have it.
func spelled(handle string) string {
	if h, ok := exeunt.ParseHandle(handle); ok {
		return h
	}
	return strings.TrimPrefix(handle, "@")
}

// noSuch is an ErrNotFound whose text says what was not found.
type noSuch string

func (e noSuch) Error() string { return string(e) }
func (noSuch) Unwrap() error   { return exeunt.ErrNotFound }

func notFoundAs(err error, text string) error {
	if errors.Is(err, exeunt.ErrNotFound) {
		return noSuch(text)
	}
	return err
}

// audit lists what was done to an account, latest first.
func (s *Server) audit(w http.ResponseWriter, r *http.Request) error {
	var f exeunt.AuditFilter
	var err error
	if f.After, f.Limit, err = paging(r); err != nil {
		return err
	}
	list, err := s.Operate.Audit(r.Context(), operator(r), r.PathValue("handle"), f)
	if err != nil {
		return s.noAccount(r, err, r.PathValue("handle"))
	}
	return replyList(w, list, func(e *exeunt.AuditEntry) AuditEntry {
		return AuditEntry{At: e.At, Action: string(e.Action), Session: e.Session.String(),
			By: string(e.By.Kind), ByLabel: e.By.Label, Address: addressText(e.By.Address), Detail: e.Detail,
			Client: string(e.Client)}
	})
}

func sessionWire(v *exeunt.Session) Session {
	out := Session{
		ID: v.ID.String(), Handle: v.Handle, Kind: string(v.Kind), Label: v.Label,
		UserAgent: v.UserAgent, Address: addressText(v.Address),
		LastAddress: addressText(v.LastAddress),
		Started:     v.Started, Seen: v.Seen, IdleAt: v.IdleAt(), ExpiresAt: v.ExpiresAt,
		MoreApps: v.AppCount - int64(len(v.Apps)),
	}
	for _, app := range v.Apps {
		if !slices.Contains(out.Apps, string(app.Client)) {
			out.Apps = append(out.Apps, string(app.Client))
		}
	}
	if v.End != nil {
		out.Ended = &Ended{At: v.End.At, Reason: string(v.End.Reason), By: string(v.End.By), ByLabel: v.End.ByLabel}
	}
	return out
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
