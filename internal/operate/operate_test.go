package operate_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/live"
	"github.com/exeunt/exeunt/internal/operate"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

var operator = exeunt.Actor{Kind: exeunt.ActorOperator, Label: "root"}

func service(n *testnode.Node) *operate.Service {
	return &operate.Service{Authority: n.Authority, Store: n.Store, ClientsChanged: n.OAuth.Reload}
}

// Nobody but an operator may do any of it, and nothing is told to others.
func TestOnlyOperatorsOperate(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	s := service(n)
	token, v := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	ctx := t.Context()
	for name, call := range map[string]func(exeunt.Actor) (any, error){
		"status": func(by exeunt.Actor) (any, error) {
			st, err := s.Status(ctx, by)
			return !reflect.DeepEqual(st, operate.Status{}), err
		},
		"sessions": func(by exeunt.Actor) (any, error) {
			p, err := s.Sessions(ctx, by, "", exeunt.SessionFilter{})
			return p.Items != nil, err
		},
		"session": func(by exeunt.Actor) (any, error) { got, err := s.Session(ctx, by, v.ID); return got.ID == v.ID, err },
		"accounts": func(by exeunt.Actor) (any, error) {
			p, err := s.Accounts(ctx, by, exeunt.AccountFilter{})
			return p.Items != nil, err
		},
		"account": func(by exeunt.Actor) (any, error) { a, err := s.Account(ctx, by, "ada"); return a.Handle != "", err },
		"audit": func(by exeunt.Actor) (any, error) {
			p, err := s.Audit(ctx, by, "ada", exeunt.AuditFilter{})
			return p.Items != nil, err
		},
		"groups": func(by exeunt.Actor) (any, error) {
			p, err := s.Groups(ctx, by, exeunt.GroupFilter{})
			return p.Items != nil, err
		},
		"members": func(by exeunt.Actor) (any, error) {
			p, err := s.Members(ctx, by, exeunt.MemberFilter{Group: "staff"})
			return p.Items != nil, err
		},
		"end session": func(by exeunt.Actor) (any, error) {
			out, err := s.EndSession(ctx, by, v.ID)
			return out.Ended != 0, err
		},
		"clients": func(by exeunt.Actor) (any, error) {
			p, err := s.Clients(ctx, by, "", 0)
			return p.Items != nil, err
		},
		"client": func(by exeunt.Actor) (any, error) {
			c, err := s.Client(ctx, by, testnode.Chirp)
			return c.ID != "", err
		},
		"add a client": func(by exeunt.Actor) (any, error) {
			c, secret, err := s.AddClient(ctx, by, newClient("notes"))
			return c.ID != "" || !secret.IsZero(), err
		},
		"change a client": func(by exeunt.Actor) (any, error) {
			c, secret, err := s.ChangeClient(ctx, by, testnode.Chirp, func(*exeunt.Client) error { return nil })
			return c.ID != "" || !secret.IsZero(), err
		},
		"rotate a secret": func(by exeunt.Actor) (any, error) {
			c, secret, err := s.RotateSecret(ctx, by, testnode.Chirp)
			return c.ID != "" || !secret.IsZero(), err
		},
		"drop a secret": func(by exeunt.Actor) (any, error) {
			c, err := s.DropOldSecret(ctx, by, testnode.Chirp)
			return c.ID != "", err
		},
		"remove a client": func(by exeunt.Actor) (any, error) {
			n, err := s.RemoveClient(ctx, by, testnode.Chirp)
			return n.Count != 0, err
		},
		"end sessions": func(by exeunt.Actor) (any, error) {
			out, err := s.EndSessions(ctx, by, "ada")
			return out.Ended != 0, err
		},
	} {
		for _, by := range []exeunt.Actor{{}, testnode.PersonIn(v), exeunt.System()} {
			if told, err := call(by); !errors.Is(err, exeunt.ErrForbidden) || told != false {
				t.Errorf("%s by %q: told %v, %v", name, by.Kind, told, err)
			}
		}
	}
	if state := n.Check(ctx, token).State; state != live.Usable {
		t.Errorf("the session is %v", state)
	}
}

// What an operator does twice is harmless the second time, and said to be so.
func TestOperatorsMayRepeat(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	s := service(n)
	p := n.NewAccount(t, "ada")
	token, v := n.NewSession(t, p, exeunt.KindKept)
	n.NewSession(t, p, exeunt.KindKept)
	for again := range 2 {
		out, err := s.EndSession(t.Context(), operator, v.ID)
		if err != nil || out.Already != (again == 1) || n.Check(t.Context(), token).State != live.Ended {
			t.Errorf("end: %+v, %v", out, err)
		}
	}
	if got, err := s.Session(t.Context(), operator, v.ID); err != nil || got.End == nil || got.End.Reason != exeunt.ReasonAdministrator || got.Handle != "ada" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, f := range []exeunt.AuditFilter{{}, {Limit: 2}} {
		page, err := s.Audit(t.Context(), operator, "ada", f)
		// Two sign-ins, the sign-up and an ending.
		if want := int64(4); err != nil || page.Count != want || page.Items[0].Action != exeunt.AuditEnd {
			t.Errorf("%d entries, want %d: %+v, %v", page.Count, want, page.Items, err)
		}
	}
	if _, err := s.EndSession(t.Context(), operator, exeunt.NewSessionID()); !errors.Is(err, exeunt.ErrNotFound) {
		t.Error(err)
	}
}

// The list of everybody's sessions shows the apps of each, as that of one account does.
func TestListsShowApps(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	s := service(n)
	_, v := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	n.NewAppSession(t, v, testnode.Chirp)
	for _, handle := range []string{"", "ada"} {
		p, err := s.Sessions(t.Context(), operator, handle, exeunt.SessionFilter{})
		if err != nil || len(p.Items) != 1 || len(p.Items[0].Apps) != 1 || p.Items[0].Apps[0].Client != testnode.Chirp {
			t.Errorf("account %q: %+v, %v", handle, p.Items, err)
		}
	}
}

// A list tells how many there are on all of its pages, and the next ones follow.
func TestListsTellTheirTotal(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	s := service(n)
	ada, bob := n.NewAccount(t, "ada"), n.NewAccount(t, "bob")
	for range 3 {
		n.NewSession(t, ada, exeunt.KindKept)
		_, v := n.NewSession(t, bob, exeunt.KindApp)
		n.SignOut(t, v)
	}
	for _, c := range []struct {
		handle string
		state  exeunt.SessionState
		want   int64
	}{{"", "", 3}, {"ada", exeunt.SessionsActive, 3}, {"ada", exeunt.SessionsEnded, 0}, {"bob", "", 0}, {"bob", exeunt.SessionsEnded, 3}} {
		f := exeunt.SessionFilter{State: c.state, Limit: 2}
		p, err := s.Sessions(t.Context(), operator, c.handle, f)
		if err != nil || p.Count != c.want || len(p.Items) != int(min(c.want, 2)) || (p.Next != "") != (c.want > 2) {
			t.Errorf("%+v: %d of %d, %v", c, len(p.Items), p.Count, err)
		}
		if f.After = p.Next; f.After == "" {
			continue
		}
		if p, err = s.Sessions(t.Context(), operator, c.handle, f); err != nil || len(p.Items) != 1 || p.Next != "" {
			t.Errorf("%+v: then %d, %v", c, len(p.Items), err)
		}
	}
	p, err := s.Accounts(t.Context(), operator, exeunt.AccountFilter{Limit: 1})
	if err != nil || p.Count != 2 || len(p.Items) != 1 || p.Items[0].Handle != "ada" {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = s.Sessions(t.Context(), operator, "nobody", exeunt.SessionFilter{})
	if !errors.Is(err, exeunt.ErrNotFound) {
		t.Error(err)
	}
}

// The status has what apps and webhooks must be told of, by client and name.
func TestStatusHasWhatAppsMustBeTold(t *testing.T) {
	n := testnode.New(t, testnode.Options{})
	s := service(n)
	_, v := n.NewSession(t, n.NewAccount(t, "ada"), exeunt.KindKept)
	owed := []exeunt.Delivery{{Account: v.Account, Session: v.ID, Client: testnode.Chirp, Seq: 1, At: n.Now()}}
	told := []exeunt.Message{{Webhook: "siem", ID: "m1", Account: v.Account, Body: []byte("{}")}}
	if moved, err := n.Store.RecordOwed(t.Context(), store.LogCursor{}, store.LogCursor{Seq: 1}, owed, told, n.Now()); err != nil || !moved {
		t.Fatal(moved, err)
	}
	st, err := s.Status(t.Context(), operator)
	if err != nil || len(st.Deliveries) != 1 || st.Deliveries[0].Client != testnode.Chirp ||
		st.Deliveries[0].Pending.Count != 1 || n.Now().Sub(st.Deliveries[0].Since).Abs() > time.Minute {
		t.Errorf("%+v, %v", st, err)
	}
	if len(st.Webhooks) != 1 || st.Webhooks[0].Webhook != "siem" || st.Webhooks[0].Pending.Count != 1 {
		t.Errorf("%+v", st.Webhooks)
	}
	if _, err := s.Webhooks(t.Context(), testnode.PersonIn(v)); !errors.Is(err, exeunt.ErrForbidden) {
		t.Error(err)
	}
	if _, err := s.TestWebhook(t.Context(), testnode.PersonIn(v), "siem"); !errors.Is(err, exeunt.ErrForbidden) {
		t.Error(err)
	}
}
