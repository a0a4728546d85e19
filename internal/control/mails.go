package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/notify"
)

// mailPatience is how long the mail server may take to answer an operator; less than callLimit.
const mailPatience = 15 * time.Second

func mailWire(m *notify.Queued) Mail {
	out := Mail{ID: m.ID.String(), Template: m.Template, State: string(m.State), Created: m.Created, Attempts: m.Attempts,
		Error: m.Error, Finished: m.Finished, Handle: m.Handle}
	if m.State != exeunt.MailSent {
		out.To = m.To
	}
	if m.State == exeunt.MailPending {
		out.Next = m.Due
	}
	return out
}

func (s *Server) mails(w http.ResponseWriter, r *http.Request) error {
	f := exeunt.MailFilter{State: exeunt.MailState(r.FormValue("state"))}
	if f.State != "" && !slices.Contains(exeunt.MailStates, f.State) {
		return fmt.Errorf("there is no state %q: use one of %v: %w", f.State, exeunt.MailStates, exeunt.ErrBadRequest)
	}
	var err error
	if f.After, f.Limit, err = paging(r); err != nil {
		return err
	}
	list, err := s.Operate.Mails(r.Context(), operator(r), f)
	if err != nil {
		return err
	}
	return replyList(w, list, mailWire)
}

func mailID(r *http.Request) (exeunt.MailID, error) {
	id, err := exeunt.ParseMailID(r.PathValue("id"))
	if err != nil {
		err = noSuch("there is no mail " + r.PathValue("id") + ": use an ID like mail_… from `exeunt mail list`")
	}
	return id, err
}

func (s *Server) mail(w http.ResponseWriter, r *http.Request) error {
	id, err := mailID(r)
	if err != nil {
		return err
	}
	m, err := s.Operate.Mail(r.Context(), operator(r), id)
	if err != nil {
		return notFoundAs(err, "there is no mail "+id.String())
	}
	return reply(w, mailWire(&m))
}

func (s *Server) testMail(w http.ResponseWriter, r *http.Request) error {
	var in MailTo
	if err := readBody(w, r, &in); err != nil {
		return err
	}
	id, err := s.Operate.TestMail(r.Context(), operator(r), in.To)
	if err != nil {
		return err
	}
	s.Surface.Log.Info("an operator sends a test mail", "mail", id, "by", operator(r).Label)
	m, err := s.Operate.Mail(r.Context(), operator(r), id)
	if err != nil {
		return err
	}
	return reply(w, mailWire(&m))
}

// reachMail says whether the mail server takes mails, without sending one.
func (s *Server) reachMail(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), mailPatience)
	defer cancel()
	err := s.Operate.ReachMail(ctx, operator(r))
	if errors.Is(err, notify.ErrNoServer) {
		return err
	}
	out := MailReached{OK: err == nil}
	if err != nil {
		out.Error = err.Error()
	}
	return reply(w, out)
}

func (s *Server) retryMail(w http.ResponseWriter, r *http.Request) error {
	id, err := mailID(r)
	if err != nil {
		return err
	}
	if err := s.Operate.RetryMail(r.Context(), operator(r), id); err != nil {
		return notFoundAs(err, "there is no mail "+id.String()+" that has failed: look at `exeunt mail list`")
	}
	s.Surface.Log.Info("an operator has a mail tried again", "mail", id, "by", operator(r).Label)
	m, err := s.Operate.Mail(r.Context(), operator(r), id)
	if err != nil {
		return err
	}
	return reply(w, mailWire(&m))
}
