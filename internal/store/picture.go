package store

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/exeunt/exeunt"
)

// PictureChange gives an account a picture, or removes the one it has.
type PictureChange struct {
	Picture *exeunt.Picture // nil removes
	// Token is the one that a person who asks for it has presented.
	Token exeunt.TokenHash
}

// ChangePicture changes an account's picture and returns its profile, and whether that has changed. The picture that the
// account has already changes nothing and records no event, and neither does removing none: so the same request can come
// twice. Outcomes: nil; ErrNotFound; ErrSignedOut, when the person's session has ended meanwhile; ErrRenewed, when it has
// another token by now; ErrUnavailable, ErrNotConfirmed.
func (s *Store) ChangePicture(
	ctx context.Context, id exeunt.AccountID, c PictureChange, by exeunt.Actor, now time.Time,
) (p exeunt.Profile, changed bool, err error) {
	err = s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		changed = false
		label, ok, err := t.mayStillAct(by, exeunt.SessionID{})
		if err != nil || !ok {
			return exeunt.ErrSignedOut, err
		}
		if by.Kind == exeunt.ActorPerson {
			by.Label = label
			if refused, err := t.mustBeCurrent(by, c.Token, 0); refused != nil || err != nil {
				return refused, err
			}
		}
		if ok, err := found(t.row(`SELECT `+profileColumns+` FROM accounts WHERE id = $1 AND status <> 'deleted'`,
			id.Bytes()).Scan(profileDest(&p)...)); err != nil || !ok {
			return exeunt.ErrNotFound, err
		}
		changed, err = t.putPicture(id, c.Picture, now)
		if err != nil || !changed {
			return nil, err
		}
		if err := t.row(`UPDATE accounts SET profile_version = profile_version + 1 WHERE id = $1 RETURNING `+profileColumns,
			id.Bytes()).Scan(profileDest(&p)...); err != nil {
			return nil, err
		}
		reason := exeunt.ReasonPictureChanged
		if c.Picture == nil {
			reason = exeunt.ReasonPictureRemoved
		}
		return nil, t.profileChanged(id, p.Version, by, reason, now)
	})
	return p, changed, err
}

func (t *tx) putPicture(id exeunt.AccountID, p *exeunt.Picture, now time.Time) (changed bool, err error) {
	var n int64
	if p == nil {
		n, err = t.exec(`DELETE FROM pictures WHERE account_id = $1`, id.Bytes())
		return n > 0, err
	}
	hash := sha256.Sum256(p.Large)
	n, err = t.exec(`INSERT INTO pictures (account_id, name, small, large, hash, changed) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (account_id) DO UPDATE SET name = excluded.name, small = excluded.small, large = excluded.large,
			hash = excluded.hash, changed = excluded.changed WHERE pictures.hash <> excluded.hash`,
		id.Bytes(), p.Name, p.Small, p.Large, hash[:], ms(now))
	return n > 0, err
}

const pictureColumns = `pictures.name, small, large, changed`

func scanPicture(r rowScanner) (p exeunt.Picture, err error) {
	var changed int64
	err = r.Scan(&p.Name, &p.Small, &p.Large, &changed)
	p.Changed = at(changed)
	return p, err
}

// Picture returns an account's picture, or ErrNotFound.
func (s *Store) Picture(ctx context.Context, id exeunt.AccountID) (exeunt.Picture, error) {
	p, err := scanPicture(s.read.QueryRowContext(ctx,
		`SELECT `+pictureColumns+` FROM pictures WHERE account_id = $1`, id.Bytes()))
	return p, notFound("picture", err)
}

// PictureByName returns the picture of that name, or ErrNotFound: also if its account may not sign in any more.
func (s *Store) PictureByName(ctx context.Context, name exeunt.PictureName) (exeunt.Picture, error) {
	p, err := scanPicture(s.read.QueryRowContext(ctx, `SELECT `+pictureColumns+` FROM pictures
		JOIN accounts ON accounts.id = account_id WHERE pictures.name = $1 AND status = 'active'`, name))
	return p, notFound("picture", err)
}
