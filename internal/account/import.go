package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/notify"
	"github.com/exeunt/exeunt/internal/password"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/ui"
)

const (
	// MaxImportRows is how many rows one call imports at most.
	MaxImportRows = 100
	// importAtOnce is how many of them are in one transaction, for which other writes wait.
	importAtOnce = 16
)

// ImportRow is somebody whom another program knows.
type ImportRow struct {
	Line     int // of the file, for the report
	Handle   string
	Name     string
	Email    string
	Groups   []string
	Disabled bool
	Hash     string // of the password
	// NoHash: files of this kind have no passwords, so the owner gets a link.
	NoHash bool
	// LinkIfUnknown: if the kind of the hash is not supported, the owner gets a link instead of being refused.
	LinkIfUnknown bool
}

// String leaves the hash out.
func (r ImportRow) String() string { return fmt.Sprintf("account.ImportRow(line %d)", r.Line) }

// GoString is String, for %#v.
func (r ImportRow) GoString() string { return r.String() }

// ImportHow says how rows are imported.
type ImportHow struct {
	Apply          bool // otherwise nothing is changed, and the outcomes say what would be
	EmailConfirmed bool // the addresses belong to whom the file says
	Links          bool // whoever's hash cannot be used gets a link, instead of being refused
	Mail           bool // links are sent by mail to whoever has an address
}

// ImportState is what became of a row.
type ImportState string

const (
	// ImportNew: it is a new account.
	ImportNew ImportState = "new"
	// ImportSame: the account is there, as the file has it.
	ImportSame ImportState = "same"
	// ImportDiffers: the account is there, differs, and was not changed.
	ImportDiffers ImportState = "differs"
	// ImportRefused: nothing was imported of it.
	ImportRefused ImportState = "refused"
)

// ImportOutcome is what became of a row, or would.
type ImportOutcome struct {
	Line    int
	Handle  string // as accounts have it, or as the file has it if none can have it
	State   ImportState
	Differs []string // in what: name, email, groups, status
	// Why a row was refused, or why somebody gets a link who had a password; and what to do about it.
	Why, Remedy string
	ByLink      bool         // the owner sets the first password by a link
	Link        exeunt.Token // the link, if the operator is to give it to the owner
	Mailed      bool         // it was sent by mail, or would be
	NoPassword  bool         // an account that is there has no password yet
}

// ErrManyRows is the answer to more than MaxImportRows.
var ErrManyRows = &exeunt.Error{Code: "too_many_rows",
	Message: fmt.Sprintf("At most %d rows are imported by one call, so nothing was imported. Send fewer.", MaxImportRows)}

// ImportAccounts adds the accounts of rows for an operator, a few in each transaction, and returns an outcome for each
// row, in their order. Accounts that are there are not changed, so the same rows again change nothing. When it fails or is
// interrupted, what was added stays, and the same rows again add the rest. Outcomes: nil; ErrForbidden; ErrManyRows;
// notify.ErrNoServer; ErrUnavailable or ErrNotConfirmed.
func (s *Service) ImportAccounts(
	ctx context.Context, by exeunt.Actor, rows []ImportRow, how ImportHow,
) ([]ImportOutcome, error) {
	switch {
	case by.Kind != exeunt.ActorOperator:
		return nil, exeunt.ErrForbidden
	case len(rows) > MaxImportRows:
		return nil, ErrManyRows
	case how.Mail && !s.SendsMails():
		return nil, notify.ErrNoServer
	}
	out, added := make([]ImportOutcome, 0, len(rows)), 0
	defer func() {
		if added == 0 {
			return
		}
		if s.Created != nil {
			s.Created()
		}
		s.Log.Info("accounts imported", "accounts", added, "by", by.Label)
	}()
	for few := range slices.Chunk(rows, importAtOnce) {
		done, err := s.importFew(ctx, by, few, how)
		if err != nil {
			return nil, err
		}
		out = append(out, done...)
		for i := range done {
			if how.Apply && done[i].State == ImportNew {
				added++
			}
		}
	}
	return out, nil
}

// importing is a row on its way, with the place of its outcome.
type importing struct {
	store.Import
	at   int
	link exeunt.Token
}

func (s *Service) importFew(
	ctx context.Context, by exeunt.Actor, rows []ImportRow, how ImportHow,
) ([]ImportOutcome, error) {
	out := make([]ImportOutcome, len(rows))
	var add []importing
	for i := range rows {
		v, err := s.planImport(ctx, &rows[i], how, &out[i])
		if err != nil {
			return nil, err
		}
		if v != nil && how.Apply {
			v.at = i
			add = append(add, *v)
		}
	}
	if len(add) == 0 {
		return out, nil
	}
	list := make([]store.Import, len(add))
	for i := range add {
		list[i] = add[i].Import
	}
	done, err := s.Store.Import(ctx, list, by, s.Now())
	if err != nil {
		return nil, fmt.Errorf("import accounts: %w", err)
	}
	for i, v := range add {
		o := &out[v.at]
		switch {
		case done[i].Refused != nil: // somebody else was faster
			*o = ImportOutcome{}
			if _, err := s.planImport(ctx, &rows[v.at], how, o); err != nil {
				return nil, err
			}
		case o.ByLink:
			if o.Mailed = done[i].Mailed; !o.Mailed {
				o.Link = v.link
			}
		}
	}
	return out, nil
}

// planImport says in out what becomes of a row, and returns what is to be stored, nil if nothing is.
func (s *Service) planImport(
	ctx context.Context, r *ImportRow, how ImportHow, out *ImportOutcome,
) (*importing, error) {
	out.Line, out.Handle, out.State = r.Line, r.Handle, ImportRefused
	a := exeunt.Account{ID: exeunt.NewAccountID(), Status: exeunt.AccountActive}
	if r.Disabled {
		a.Status = exeunt.AccountDisabled
	}
	var wrong [3]error
	a.Handle, wrong[0] = cleanHandle(r.Handle)
	if wrong[0] == nil {
		out.Handle = a.Handle
	}
	a.Name, wrong[1] = cleanName(r.Name, a.Handle)
	a.Email, wrong[2] = cleanEmail(r.Email)
	a.EmailConfirmed = how.EmailConfirmed && a.Email != ""
	for _, err := range wrong {
		if err != nil {
			out.Why, out.Remedy = err.Error(), "Change it in the file."
			return nil, nil
		}
	}
	a.Groups = slices.Compact(slices.Sorted(slices.Values(r.Groups)))
	if why, remedy := badGroups(a.Groups); why != "" {
		out.Why, out.Remedy = why, remedy
		return nil, nil
	}
	present, err := s.Authority.AccountByHandle(ctx, a.Handle)
	switch {
	case err == nil:
		compareImport(&present, &a, out)
		return nil, nil
	case !errors.Is(err, exeunt.ErrNotFound):
		return nil, err
	}
	if err := s.mayImport(ctx, &a, out); err != nil || out.Why != "" {
		return nil, err
	}
	v := &importing{Import: store.Import{Account: a}}
	if !v.takeHash(r, how, out) {
		return nil, nil
	}
	out.State = ImportNew
	if v.Credential.PasswordHash != "" {
		return v, nil
	}
	return v, s.offerLink(v, how, out)
}

func badGroups(groups []string) (why, remedy string) {
	for _, g := range groups {
		if !exeunt.ValidGroup(g) {
			return fmt.Sprintf("group %q: %s", g, exeunt.ErrGroupName), "Change the name in the file, and in the apps that read it."
		}
	}
	if len(groups) > exeunt.MaxGroups {
		return fmt.Sprintf("An account is in at most %d groups, and this one would be in %d.", exeunt.MaxGroups, len(groups)),
			"Take it out of some in the file."
	}
	return "", ""
}

// mayImport says why a new account cannot be made.
func (s *Service) mayImport(ctx context.Context, a *exeunt.Account, out *ImportOutcome) error {
	past, err := s.Store.PastHandle(ctx, s.handleSum(a.Handle), s.Now())
	if err != nil {
		return err
	}
	if past {
		out.Why = "The handle belonged to an account that was deleted not long ago, and is kept from others."
		out.Remedy = "Give it another handle in the file."
		return nil
	}
	if !a.EmailConfirmed {
		return nil
	}
	owner, err := s.Store.EmailOwner(ctx, a.Email)
	if errors.Is(err, exeunt.ErrNotFound) {
		return nil
	}
	if err == nil {
		out.Why = fmt.Sprintf("@%s has confirmed the e-mail address %s.", owner, a.Email)
		out.Remedy = "Take the address out of this row, or find out whose it is."
	}
	return err
}

// takeHash takes over the hash of a row. It returns false if the row is refused for it.
func (v *importing) takeHash(r *ImportRow, how ImportHow, out *ImportOutcome) bool {
	if r.NoHash {
		return true
	}
	stored, err := password.Import(r.Hash)
	if err == nil {
		v.Credential.PasswordHash = stored
		return true
	}
	var why *password.ImportError
	if !errors.As(err, &why) {
		return false
	}
	out.Why = strings.ToUpper(why.Error()[:1]) + why.Error()[1:] + "."
	if how.Links || r.LinkIfUnknown && why.Kind != "" && !why.Costly && !why.Broken {
		return true
	}
	switch {
	case why.Costly:
		out.Remedy = "Have the password hashed with less there, or repeat this with --links, which imports it without the " +
			"password."
	case why.Broken, why.Kind == "":
		out.Remedy = "Correct it in the file, or repeat this with --links, which imports it without a password."
	default:
		out.Remedy = "Have the password set again there with bcrypt (`htpasswd -B`), or repeat this with --links, which " +
			"imports it without the password."
	}
	return false
}

// offerLink makes the link with which the owner sets the first password, for as long as the links of new accounts work.
// A disabled account gets none.
func (s *Service) offerLink(v *importing, how ImportHow, out *ImportOutcome) error {
	if v.Account.Status != exeunt.AccountActive {
		out.NoPassword = true
		return nil
	}
	out.ByLink = true
	out.Mailed = how.Mail && v.Account.Email != ""
	if !how.Apply {
		return nil
	}
	v.link = exeunt.NewToken(exeunt.UseInvite)
	v.Reset = &store.ImportReset{Hash: v.link.Hash(), Expires: s.Now().Add(InviteLife)}
	if !out.Mailed {
		return nil
	}
	mails, err := s.Notify.Prepare(notify.Message{Account: v.Account.ID, To: v.Account.Email, Template: ui.MailInvitation,
		Until: v.Reset.Expires, Data: ui.MailData{Handle: v.Account.Handle, Life: InviteLife,
			Link: s.Notify.Site + "/reset/" + v.link.Reveal()}})
	if err == nil {
		v.Reset.Mail = &mails[0]
	}
	return err
}

// compareImport says how an account that is there differs from what a file has. Passwords are not compared: its owner
// may have changed it, and it is hashed anew at the first sign-in. Of groups only those count that the account lacks.
func compareImport(present, row *exeunt.Account, out *ImportOutcome) {
	out.State, out.NoPassword = ImportSame, present.PasswordSet.IsZero()
	if present.Name != row.Name {
		out.Differs = append(out.Differs, "name")
	}
	if row.Email != "" && present.Email != row.Email || row.EmailConfirmed && !present.EmailConfirmed {
		out.Differs = append(out.Differs, "email")
	}
	if slices.ContainsFunc(row.Groups, func(g string) bool { return !slices.Contains(present.Groups, g) }) {
		out.Differs = append(out.Differs, "groups")
	}
	if (present.Status == exeunt.AccountActive) != (row.Status == exeunt.AccountActive) {
		out.Differs = append(out.Differs, "status")
	}
	if len(out.Differs) > 0 {
		out.State = ImportDiffers
	}
}
