package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/store"
)

const (
	linkFile = "first-account-link"
	linkPath = "/setup/"
)

// LinkFile is the file that holds the link for the first account while that is valid.
func (n *Node) LinkFile() string { return filepath.Join(n.Config.Data, linkFile) }

// FirstAccountLink returns the one-time link that makes the first account, or "" when there is an account already. It
// is the one of the link file for a day after that was written, so that what `exeunt init` or an earlier start has
// printed goes on working; then it is a new one, and the earlier one does not work any more.
func (n *Node) FirstAccountLink(ctx context.Context) (string, error) {
	exists, err := n.Store.AnyAccount(ctx)
	if err != nil {
		return "", err
	}
	if exists {
		n.removeLinkFile()
		return "", nil
	}
	t, until, err := n.writtenLink()
	if err != nil {
		return "", err
	}
	if !t.IsZero() {
		// It fails if the link was used and every account has been deleted since: then there is a new one.
		if _, err := n.Accounts.InviteBy(ctx, t, account.Invitation{Expires: until}); err == nil {
			return n.inviteLink(t), nil
		}
	}
	t, _, err = n.Accounts.Invite(ctx, account.Invitation{Expires: n.now().Add(account.FirstInviteLife)})
	if err != nil {
		return "", err
	}
	return n.inviteLink(t), writeLink(n.Config.Data, n.inviteLink(t))
}

// writtenLink returns the token of the link file's link and until when it works; a zero token if it has none that does.
func (n *Node) writtenLink() (none exeunt.Token, until time.Time, err error) {
	info, err := os.Lstat(n.LinkFile())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return none, until, nil
	} else if err != nil {
		return none, until, err
	}
	until = info.ModTime().Add(account.FirstInviteLife)
	left := until.Sub(n.now())
	if left <= 0 || left > account.FirstInviteLife+time.Minute { // the clock was set
		return none, until, nil
	}
	text, err := os.ReadFile(n.LinkFile())
	if err != nil {
		return none, until, err
	}
	token, ours := strings.CutPrefix(strings.TrimSpace(string(text)), n.Config.URL+linkPath)
	t, err := exeunt.ParseToken(token)
	if !ours || err != nil || t.Use() != exeunt.UseInvite {
		return none, until, nil
	}
	return t, until, nil
}

// PrepareFirstLink makes the link for the first account before a node has started: the first start there, within a
// day, takes it from the link file. It makes the data folder if there is none. Outcomes: the link; "" where a node has
// been already; an error.
func PrepareFirstLink(data, url string) (string, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{store.DatabaseFile, markFile} {
		if _, err := os.Lstat(filepath.Join(data, name)); err == nil {
			return "", nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	link := url + linkPath + exeunt.NewToken(exeunt.UseInvite).Reveal()
	return link, writeLink(data, link)
}

// writeLink writes the link file, under another name first, so that it never holds half a link. It belongs to whom the
// folder belongs to. The folder's owner may not lead root elsewhere, so nothing that is there is followed.
func writeLink(data, link string) error {
	temporary := filepath.Join(data, linkFile+".new")
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, link)
	if err := errors.Join(err, giveToOwnerOf(data, f), f.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(data, linkFile))
}

// giveToOwnerOf gives a file that root has made to the owner and group of a folder.
func giveToOwnerOf(folder string, f *os.File) error {
	if os.Getuid() != 0 {
		return nil
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	of, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(of.Uid), int(of.Gid))
}

// removeLinkFile removes the file that says how to make the first account, after there is one.
func (n *Node) removeLinkFile() {
	if err := os.Remove(n.LinkFile()); err != nil && !os.IsNotExist(err) {
		n.log.Warn("the file with the link for the first account, which no longer works, could not be removed",
			"file", n.LinkFile(), "err", err)
	}
}
