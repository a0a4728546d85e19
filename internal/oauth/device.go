package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/store"
)

const (
	// DeviceLife is how long a device waits for somebody to type its user code.
	DeviceLife = 10 * time.Minute
	// DeviceInterval is how long it waits between two questions.
	DeviceInterval = 5 * time.Second
)

// What a device that asks is told (RFC 8628 section 3.5).
var (
	ErrDevicePending  = &Refusal{"authorization_pending", "nobody has typed the code yet"}
	ErrDeviceSlowDown = &Refusal{"slow_down", "ask less often"}
	ErrDeviceDeclined = &Refusal{"access_denied", "the person declined"}
	ErrDeviceExpired  = &Refusal{"expired_token", "nobody has typed the code in time; ask for another one"}
	// ErrNoDeviceGrant answers a client that may not have people type codes.
	ErrNoDeviceGrant = &Refusal{"unauthorized_client", "this client is not registered for the device grant"}
)

// Device waits for somebody to type its user code.
type Device struct {
	store.Device
	App exeunt.Client
}

// Waits reports whether nobody has decided yet.
func (d Device) Waits() bool { return d.State == store.DeviceWaiting }

// Allowed reports whether it was allowed.
func (d Device) Allowed() bool { return d.State == store.DeviceAllowed }

// StartDevice has a device wait, and returns its code and what people type (RFC 8628 section 3.2). Outcomes: nil;
// ErrNoDeviceGrant; those of authority.AddDevice.
func (s *Service) StartDevice(
	ctx context.Context, c exeunt.Client, scopes exeunt.Scopes, at authority.Device,
) (exeunt.Token, string, error) {
	if !c.DeviceGrant {
		return exeunt.Token{}, "", ErrNoDeviceGrant
	}
	code, typed := exeunt.NewToken(exeunt.UseCode), newUserCode()
	err := s.Authority.AddDevice(ctx, store.Device{UserCode: typed, Hash: code.Hash(), Client: c.ID, Registration: c.Registration, Scopes: scopes,
		UserAgent: at.UserAgent, Address: at.Address, Expires: s.Now().Add(DeviceLife)})
	return code, PrintUserCode(typed), err
}

// userLetters make no words, and none looks like another or like a digit (RFC 8628 section 6.1).
const (
	userLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLen = 8
)

func newUserCode() string {
	out := make([]byte, 0, userCodeLen)
	var b [1]byte
	for len(out) < userCodeLen {
		// Bytes of 240 and above would make some letters likelier than others.
		if rand.Read(b[:]); b[0] < 240 {
			out = append(out, userLetters[int(b[0])%len(userLetters)])
		}
	}
	return string(out)
}

// PrintUserCode writes a user code as people read it.
func PrintUserCode(code string) string { return code[:userCodeLen/2] + "-" + code[userCodeLen/2:] }

// ParseUserCode reads a user code as people type it; ok is false if it cannot be one.
func ParseUserCode(text string) (code string, ok bool) {
	code = strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '\u2013' {
			return -1
		}
		return r
	}, strings.ToUpper(text))
	return code, len(code) == userCodeLen && strings.Trim(code, userLetters) == ""
}

// FindDevice returns the device whose user code a person has typed, or ErrUserCode. One that they have decided about is
// found by them alone.
func (s *Service) FindDevice(ctx context.Context, who authority.Answer, userCode string) (d Device, err error) {
	code, ok := ParseUserCode(userCode)
	if !ok {
		return d, exeunt.ErrUserCode
	}
	if d.Device, err = s.Authority.DeviceByUserCode(ctx, who, code); err == nil {
		d.App, err = s.Client(d.Client)
	}
	if errors.Is(err, exeunt.ErrNotFound) ||
		err == nil && (!d.App.DeviceGrant || !d.Waits() && d.Account != who.Account) {
		err = exeunt.ErrUserCode
	}
	return d, err
}

// AllowDevice signs a device in as a person whose session has that token. Outcomes: nil; ErrUserCode; ErrNotAdmitted;
// ErrFactorNeeded;
// those of authority.AllowDevice.
func (s *Service) AllowDevice(ctx context.Context, who authority.Answer, holder exeunt.TokenHash, d Device) error {
	if err := s.admits(ctx, d.App, who.Account); err != nil {
		return err
	}
	if err := s.Authority.Suffices(ctx, who.Account, who.Session, &d.App); err != nil {
		return err
	}
	err := s.Authority.AllowDevice(ctx, d.UserCode, store.Code{Account: who.Account, Session: who.Session, Holder: holder})
	if errors.Is(err, exeunt.ErrNotFound) {
		err = exeunt.ErrUserCode
	}
	return err
}

// DeclineDevice has a device told that the person declined.
func (s *Service) DeclineDevice(ctx context.Context, who authority.Answer, d Device) error {
	err := s.Authority.DeclineDevice(ctx, d.UserCode, who.Account)
	if errors.Is(err, exeunt.ErrNotFound) {
		err = exeunt.ErrUserCode
	}
	return err
}

// ExchangeDevice returns the tokens of a device that somebody has allowed (RFC 8628 section 3.4); it gets a session of its
// own. The other outcomes are ErrDevicePending and its like, and those of ExchangeCode.
func (s *Service) ExchangeDevice(
	ctx context.Context, c exeunt.Client, code exeunt.Token, at authority.Device,
) (Tokens, error) {
	if !c.DeviceGrant {
		return Tokens{}, ErrNoDeviceGrant
	}
	if code.Use() != exeunt.UseCode {
		return Tokens{}, exeunt.ErrCodeSpent
	}
	d, err := s.Authority.DeviceByCode(ctx, code)
	var throttled *exeunt.ThrottledError
	switch {
	case errors.Is(err, exeunt.ErrNotFound), err == nil && d.Client != c.ID:
		return Tokens{}, exeunt.ErrCodeSpent
	case errors.As(err, &throttled):
		return Tokens{}, ErrDeviceSlowDown
	case err != nil:
		return Tokens{}, err
	case d.State == store.DeviceAllowed:
		at.Label = c.Name
		return s.start(ctx, c, authority.AppSignIn{Code: code.Hash(), Own: &at})
	case d.State == store.DeviceDeclined:
		return Tokens{}, ErrDeviceDeclined
	case !d.Expires.After(s.Now()):
		return Tokens{}, ErrDeviceExpired
	}
	return Tokens{}, ErrDevicePending
}
