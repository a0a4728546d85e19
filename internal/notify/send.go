package notify

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/ui"
)

const (
	atOnce        = 4               // attempts of this node at the same time
	lookEvery     = 5 * time.Second // for what other nodes have queued
	shortestWait  = 50 * time.Millisecond
	recordTimeout = 10 * time.Second // after it, the attempt is made again once its lease is over
	leaseMargin   = recordTimeout + 20*time.Second
	firstBackoff  = 10 * time.Second
	longestPause  = time.Hour
)

// backoff is how long to wait after so many attempts, more or less, so that those that failed together spread.
func backoff(attempts int64) time.Duration {
	d := longestPause
	if attempts < 10 {
		d = min(d, firstBackoff<<max(attempts-1, 0))
	}
	return d - d/4 + rand.N(d/2)
}

// Run sends mails until ctx is done, and returns when no attempt is under way any more. Those that were cut off are made
// again, by another node or after the next start.
func (s *Service) Run(ctx context.Context) {
	if !s.Enabled() {
		return
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	places := make(chan struct{}, atOnce)
	var failures int64
	for {
		wait, err := s.round(ctx, &sending, places)
		if failures++; err == nil {
			failures = 0
		} else if wait = min(backoff(failures), time.Minute); ctx.Err() == nil {
			s.Log.Warn("could not look for mails to send; trying again", "err", err)
		}
		select {
		case <-s.Store.MailQueued():
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// round begins the attempts that are due and have a place. It returns how long to wait for the next round.
func (s *Service) round(ctx context.Context, sending *sync.WaitGroup, places chan struct{}) (time.Duration, error) {
	free := atOnce - len(places)
	if free == 0 {
		return shortestWait, nil
	}
	now := s.Now()
	due, any, err := s.Store.NextMail(ctx)
	if err != nil || !any || due.After(now) {
		wait := lookEvery
		if any {
			wait = max(min(wait, due.Sub(now)), shortestWait)
		}
		return wait, err
	}
	list, err := s.Store.ClaimMails(ctx, now, now.Add(s.Patience+leaseMargin), free)
	for _, m := range list {
		places <- struct{}{}
		sending.Go(func() {
			defer func() { <-places }()
			s.attempt(ctx, m)
		})
	}
	return shortestWait, err // there may be more than one round takes
}

// outcome is what an attempt met.
type outcome struct {
	sent  bool
	final bool   // trying again is of no use
	err   string // for operators; it names no address
	away  bool   // the server could not be reached or spoken to
}

// attempt makes a claimed attempt and records what came of it.
func (s *Service) attempt(ctx context.Context, m store.SealedMail) {
	o := s.try(ctx, &m)
	if ctx.Err() == nil {
		s.note(o)
	}
	now := s.Now()
	v := m.Mail
	v.Error, v.Finished = readable(o.err), now
	pause := backoff(m.Attempts)
	switch {
	case o.sent:
		v.State, v.Error = exeunt.MailSent, ""
	case o.final:
		v.State = exeunt.MailRefused
	case ctx.Err() != nil: // this node stops, another may go on
		v.Due = now
	case !now.Add(pause).Before(m.GiveUp):
		v.State = exeunt.MailGaveUp
	default:
		v.Due = now.Add(pause)
	}
	// A crash before the commit: the attempt is made again once its lease is over, with the same Message-ID.
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := s.Store.RecordMail(record, v); err != nil {
		s.Log.Warn("could not record what came of a mail; it will be sent again", "mail", m.ID, "err", err)
	}
	if v.State == exeunt.MailRefused || v.State == exeunt.MailGaveUp {
		s.Log.Warn("a mail could not be sent; look at `exeunt mail list`", "mail", m.ID, "template", m.Template,
			"state", v.State, "err", v.Error)
	}
}

// note leaves a line when the mail server goes away and when it is back.
func (s *Service) note(o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.away != s.failing && !(o.final && !o.away) {
		if s.failing = o.away; o.away {
			s.Log.Warn("the mail server cannot be used; mails wait and are tried again", "host", s.Server.Host, "err", o.err)
		} else {
			s.Log.Info("the mail server can be used again", "host", s.Server.Host)
		}
	}
}

// readable is one line of bounded length.
func readable(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	const most = 300
	if len(text) > most {
		text = text[:most]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return text
}

// try makes an attempt.
func (s *Service) try(ctx context.Context, m *store.SealedMail) outcome {
	v, err := s.open(m)
	if err != nil {
		return outcome{final: true, err: "what it says cannot be read: the master key is another one"}
	}
	text, err := s.UI.Mail(v.Locale, ui.MailTemplate(m.Template), v.Data)
	if err != nil {
		return outcome{final: true, err: "it cannot be rendered by this version"}
	}
	if !s.Now().Before(m.GiveUp) {
		return outcome{err: "it was not sent in time"}
	}
	limit, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	return s.deliver(limit, &m.Mail, v.To, text)
}
