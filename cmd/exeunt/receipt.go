package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/exeunt/exeunt/client/receipt"
)

type receiptCommand struct {
	Verify verifyReceiptCommand `cmd:"" help:"Say what a receipt proves. Fails if it is not genuine."`
}

type verifyReceiptCommand struct {
	File   string `arg:"" help:"The saved receipt, a file that ends with .jws; - reads it from standard input."`
	JWKS   string `name:"jwks" placeholder:"URL|FILE" help:"The installation's public keys: a saved file, or an https address. Without it they are fetched from the address that the receipt names, unless --issuer is another."`
	Issuer string `name:"issuer" placeholder:"URL" help:"The address of the installation that the receipt must be from."`
}

// Run verifies a receipt, and needs no node for it.
func (c *verifyReceiptCommand) Run(ctx context.Context) error {
	text, err := readBounded(c.File, receipt.MaxLen+1)
	if err != nil {
		return err
	}
	s, from, err := c.verify(ctx, text)
	switch {
	case err == nil:
		return printReceipt(os.Stdout, s, from)
	case isRefusal(err):
		err = fmt.Errorf("%s proves nothing: %w. %s", c.File, err, remedyOf(err))
	default:
		err = fmt.Errorf("%s was not verified: %w", c.File, err)
	}
	return errors.New(clean(err.Error())) // which has what the file says
}

// verify returns what the receipt says, and where the keys are from.
func (c *verifyReceiptCommand) verify(ctx context.Context, text []byte) (s *receipt.Statement, from string, err error) {
	issuer, err := receipt.Issuer(text)
	if err != nil {
		return nil, "", err
	}
	// Nobody is asked for keys whom the caller does not mean.
	if c.Issuer != "" && issuer != c.Issuer {
		return nil, "", fmt.Errorf("%w: it is from %s, and not from %s", receipt.ErrIssuer, issuer, c.Issuer)
	}
	keys, from, err := c.keys(ctx, issuer)
	if err != nil {
		return nil, "", err
	}
	s, err = receipt.Verify(text, keys, c.Issuer)
	return s, from, err
}

func (c *verifyReceiptCommand) keys(ctx context.Context, issuer string) (*receipt.Keys, string, error) {
	at := c.JWKS
	if at == "" {
		at = issuer + receipt.KeysPath
	}
	if strings.HasPrefix(at, "https://") || strings.HasPrefix(at, "http://") {
		keys, err := receipt.FetchKeys(ctx, at)
		if err != nil && c.JWKS == "" {
			err = fmt.Errorf("%w. If you have the keys in a file, give it with --jwks", err)
		}
		return keys, at, err
	}
	text, err := readBounded(at, 2<<20)
	if err != nil {
		return nil, "", fmt.Errorf("--jwks: %w", err)
	}
	keys, err := receipt.ParseKeys(text)
	if err != nil {
		return nil, "", fmt.Errorf("--jwks %s: %w", at, err)
	}
	return keys, "the file " + at, nil
}

func readBounded(file string, limit int64) ([]byte, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, limit))
}

func isRefusal(err error) bool {
	for _, one := range []error{receipt.ErrMalformed, receipt.ErrVersion, receipt.ErrUnknownKey, receipt.ErrSignature,
		receipt.ErrIssuer} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

func remedyOf(err error) string {
	switch {
	case errors.Is(err, receipt.ErrVersion):
		return "Verify it with a newer version of this program"
	case errors.Is(err, receipt.ErrUnknownKey):
		return "Use the keys of the installation that made it, as they are now: it keeps every key that it ever signed one with"
	case errors.Is(err, receipt.ErrIssuer):
		return "Leave out --issuer to learn what its own installation says of it"
	}
	return "Save it again from the page of the receipt, as a file, without opening it in an editor"
}

const receiptTime = "2 January 2006 at 15:04:05 UTC"

// printReceipt says in plain words what a genuine receipt proves.
func printReceipt(w io.Writer, s *receipt.Statement, from string) error {
	out := &strings.Builder{}
	fmt.Fprintf(out, "This receipt is genuine: %s signed it on %s.\nVerified with the keys from %s.\n\n", clean(s.Issuer),
		s.Issued().Format(receiptTime), from)
	fmt.Fprintf(out, "  ended     %s\n  when      %s\n  why       %s\n  by        %s\n  recorded  as number %d of the log %s\n",
		whatEnded(s), s.EndedAt.UTC().Format(receiptTime), strings.ReplaceAll(clean(s.Reason), "_", " "), byWords[s.By],
		s.Event, clean(s.Log))
	switch {
	case len(s.Apps) > 0:
		fmt.Fprint(out, "\nThe apps, as known when it was signed:\n")
	case s.AppsComplete:
		fmt.Fprint(out, "\nNo app was used with what ended.\n")
	}
	for _, a := range s.Apps {
		fmt.Fprintf(out, "  %s (%s): %s\n", clean(a.Name), clean(a.Client), whatBecame(a))
	}
	if !s.AppsComplete {
		fmt.Fprint(out, "\nThere may have been other apps.\n")
	}
	fmt.Fprint(out, "\nIt does not say whose sign-in this was, nor what is left in a browser.\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// clean is a name on one line.
func clean(s string) string { return strings.ReplaceAll(forTerminal(s), "\n", " ") }

func whatEnded(s *receipt.Statement) string {
	what := plural(s.Sessions, "session", "sessions")
	switch s.Scope {
	case receipt.ScopeApp:
		return "one sign-in of an app"
	case receipt.ScopeOthers:
		what += " of one account, all but one"
	case receipt.ScopeAccount:
		what += ", all of one account"
	case receipt.ScopeSession:
	}
	if n := s.AppSessions; n != nil && *n > 0 {
		what += ", with " + plural(*n, "sign-in of an app", "sign-ins of apps")
	}
	return what
}

func plural(n int64, one, other string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, other)
}

var byWords = map[receipt.By]string{
	receipt.ByHere: "the browser or app that was signed out", receipt.ByElsewhere: "another browser or app of the account",
	receipt.ByLink: "a one-time link of the account", receipt.ByAdministrator: "an administrator",
	receipt.BySystem: "the installation itself",
}

func whatBecame(a receipt.App) string {
	switch a.State {
	case receipt.StateClosed:
		if a.Tier == "proxied" {
			return "closed at once; a connection that was open may have lasted until the app closed it"
		}
		return "closed at once"
	case receipt.StateTold:
		return "it has confirmed on " + a.ToldAt.UTC().Format(receiptTime)
	case receipt.StatePending:
		return "being told, not confirmed yet; tried " + plural(a.Attempts, "time", "times")
	case receipt.StateRefused:
		return "it did not accept the notice"
	case receipt.StateGaveUp:
		return "it could not be told"
	case receipt.StateExpires:
		return "its access ends by itself by " + a.ExpiresBy.UTC().Truncate(time.Second).Format(receiptTime)
	case receipt.StateWhole:
		return "not ended there: it can be told only of the end of the whole account"
	case receipt.StateUntold:
		return "not ended there: it cannot be told"
	case receipt.StateUnknown:
		return "nothing is recorded of it any more"
	}
	return "unknown"
}
