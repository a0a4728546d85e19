package testnode_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/factor"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/testnode"
	"github.com/exeunt/exeunt/internal/testpg"
)

// atOnce is how many use a secret at the same moment.
const atOnce = 16

// field holds what people come to, on either of two nodes: so the rates, which each node counts for itself, admit all.
type field struct {
	*testnode.Node
	t        *testing.T
	url      func(*testing.T) string // of an empty database
	signIn   [2]*signin.Service
	accounts [2]*account.Service
	oauth    [2]*oauth.Service
	ada      exeunt.Session
	secret   []byte // of her authenticator app
	codes    []factor.RecoveryCode
}

// singleUse has a row for each secret that works once. It prepares one, and returns what the i-th of those does who have
// it at the same moment, and which of the errors are those of somebody who comes too late.
var singleUse = map[string]func(f *field) (use func(i int) error, late []string){
	"code of an authenticator app": func(f *field) (func(int) error, []string) {
		code := factor.Code(f.secret, factor.Step(f.Now()))
		return f.answers(func(int) string { return code }, false), []string{exeunt.ErrCodeUsed.Code}
	},
	"recovery code": func(f *field) (func(int) error, []string) {
		return f.answers(func(int) string { return f.codes[0].Reveal() }, false), []string{exeunt.ErrCodeUsed.Code, "wrong_code"}
	},
	"challenge, by nine different codes": func(f *field) (func(int) error, []string) {
		return f.answers(func(i int) string { return f.codes[1+i%9].Reveal() }, true), []string{exeunt.ErrChallengeOver.Code, "repeated"}
	},
	"link for a new account": func(f *field) (func(int) error, []string) {
		token, _, err := f.accounts[0].Invite(f.t.Context(), account.Invitation{Handle: "grace", Expires: f.Now().Add(account.InviteLife)})
		f.must(err)
		return func(i int) error {
			_, err := f.accounts[i%2].Redeem(f.t.Context(), token, account.NewAccount{Password: anotherPassword(i)}, netip.Addr{})
			return err
		}, []string{exeunt.ErrInviteSpent.Code, "taken"}
	},
	"link for the first account": func(f *field) (func(int) error, []string) {
		f = newPair(f.t, f.url) // without accounts
		token, _, err := f.accounts[0].Invite(f.t.Context(), account.Invitation{Expires: f.Now().Add(account.FirstInviteLife)})
		f.must(err)
		return func(i int) error {
			_, err := f.accounts[i%2].Redeem(f.t.Context(), token, account.NewAccount{Handle: fmt.Sprint("first", i),
				Password: anotherPassword(i)}, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
			return err
		}, []string{exeunt.ErrInviteSpent.Code}
	},
	"link for a new password": func(f *field) (func(int) error, []string) {
		f.NewAccount(f.t, "mary")
		a, err := f.AccountByHandle(f.t.Context(), "mary")
		f.must(err)
		token, err := f.accounts[0].OfferReset(f.t.Context(), exeunt.Actor{Kind: exeunt.ActorOperator}, a)
		f.must(err)
		return func(i int) error {
			_, err := f.accounts[i%2].Reset(f.t.Context(), token, anotherPassword(i), netip.Addr{})
			return err
		}, []string{exeunt.ErrInviteSpent.Code}
	},
	"authorization code": func(f *field) (func(int) error, []string) {
		const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-0123"
		c := f.Client(f.t, testnode.Chirp)
		code := f.NewCode(f.t, f.ada, c.ID, verifier)
		return func(i int) error {
			_, err := f.oauth[i%2].ExchangeCode(f.t.Context(), oauth.CodeExchange{Code: code, Client: c, RedirectURI: c.RedirectURIs[0],
				Verifier: verifier})
			return err
		}, []string{exeunt.ErrCodeSpent.Code}
	},
	"user code of a device": func(f *field) (func(int) error, []string) {
		_, typed := f.device()
		return func(i int) error { return f.allow(i, typed) }, []string{exeunt.ErrUserCode.Code}
	},
	"device code": func(f *field) (func(int) error, []string) {
		code, typed := f.device()
		f.must(f.allow(0, typed))
		return func(i int) error { // what a device asks for, which may do so once in five seconds
			_, _, err := f.oauth[i%2].Authority.StartApp(f.t.Context(), authority.AppSignIn{Code: code.Hash(), Client: testnode.Chirp,
				Own: &authority.Device{Label: "Phone"}})
			return err
		}, []string{exeunt.ErrCodeSpent.Code}
	},
}

// endsWhatItBegan has the secrets that end what they have begun when they come again (RFC 6749 section 4.1.2): so fast that
// even the first may be told that it is late.
var endsWhatItBegan = map[string]bool{"authorization code": true, "device code": true}

// Of sixteen who use the same secret at the same moment one succeeds, and the others are told that they are late; on a
// file, and on two nodes that share a server.
func TestOneOfManyWins(t *testing.T) {
	for engine, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string { return testpg.NewDatabase(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			f := newField(t, url)
			for name, prepare := range singleUse {
				use, late := prepare(f)
				var all sync.WaitGroup
				errs := make([]error, atOnce)
				for i := range errs {
					all.Go(func() { errs[i] = use(i) })
				}
				all.Wait()
				won := 0
				for i, err := range errs {
					if err == nil {
						won++
					} else if !slices.Contains(late, codeOf(err)) {
						t.Errorf("%s, the %d. of %d: %v", name, i+1, atOnce, err)
					}
				}
				if won > 1 || won == 0 && !endsWhatItBegan[name] {
					t.Errorf("%s: %d of %d have won", name, won, atOnce)
				}
			}
			if apps, err := f.Apps(t.Context(), authority.AppFilter{Account: f.ada.Account, Client: testnode.Chirp, Limit: 10}); err != nil ||
				len(apps) > 0 {
				t.Errorf("a code that was used again has left %d app sessions (%v)", len(apps), err)
			}
		})
	}
}

// newPair is two nodes on an empty database, or one node of which two services count rates.
func newPair(t *testing.T, url func(*testing.T) string) *field {
	t.Helper()
	f := &field{t: t, url: url}
	second := &testnode.Node{}
	if at := url(t); at == "" {
		f.Node = testnode.New(t, testnode.Options{})
		second.SignIn, second.Accounts, second.OAuth = signin.New(f.SignIn.Config), account.New(f.Accounts.Config), f.OAuth
	} else {
		both := nodes(t, at, 2)
		f.Node, second = both[0], both[1]
	}
	f.signIn = [2]*signin.Service{f.SignIn, second.SignIn}
	f.accounts = [2]*account.Service{f.Accounts, second.Accounts}
	f.oauth = [2]*oauth.Service{f.OAuth, second.OAuth}
	return f
}

func newField(t *testing.T, url func(*testing.T) string) *field {
	t.Helper()
	f := newPair(t, url)
	c := f.Client(t, testnode.Chirp)
	c.DeviceGrant = true
	f.must(f.OAuth.Reconcile(t.Context(), []exeunt.Client{c}, f.Now()))
	f.oauth[1].Reload(t.Context())
	p := f.NewAccount(t, "ada")
	token, s := f.NewSession(t, p, exeunt.KindKept)
	f.ada = s
	f.secret, f.codes = f.GiveApp(t, testnode.PersonIn(s), token, p.CredentialVersion)
	return f
}

func (f *field) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// answers answers challenges by codes: one challenge, or each one of their own.
func (f *field) answers(code func(i int) string, one bool) func(i int) error {
	f.t.Helper()
	fresh := [2]*signin.Service{signin.New(f.signIn[0].Config), signin.New(f.signIn[1].Config)} // have counted nothing yet
	challenges := make([]exeunt.Token, atOnce)
	for i := range challenges {
		if one && i > 0 {
			challenges[i] = challenges[0]
			continue
		}
		step, err := f.SignIn.Password(f.t.Context(), "ada", testnode.Password, netip.Addr{})
		_, err = f.SignIn.Ask(f.t.Context(), "", step, err)
		var more *exeunt.FactorRequiredError
		if !errors.As(err, &more) {
			f.t.Fatal(err)
		}
		challenges[i] = more.Challenge
	}
	return func(i int) error {
		got, err := fresh[i%2].Answer(f.t.Context(), challenges[i], signin.Reply{Code: code(i)}, exeunt.Actor{Kind: exeunt.ActorPerson})
		if err == nil && got.Proof.Repeated {
			return &exeunt.Error{Code: "repeated"} // it proves nothing but what the first has proved
		}
		return err
	}
}

func anotherPassword(i int) string { return fmt.Sprintf("%d lanterns under the old harbour", i) }

func (f *field) device() (code exeunt.Token, typed string) {
	f.t.Helper()
	code, typed, err := f.OAuth.StartDevice(f.t.Context(), f.Client(f.t, testnode.Chirp), "openid", authority.Device{})
	f.must(err)
	return code, typed
}

func (f *field) allow(i int, typed string) error {
	who := authority.Answer{Account: f.ada.Account, Session: f.ada.ID}
	d, err := f.oauth[i%2].FindDevice(f.t.Context(), who, typed)
	if err != nil {
		return err
	}
	return f.oauth[i%2].AllowDevice(f.t.Context(), who, exeunt.TokenHash{}, d)
}

func codeOf(err error) string {
	var f *exeunt.FieldError
	if errors.As(err, &f) {
		return f.Code
	}
	return exeunt.CodeOf(err)
}
