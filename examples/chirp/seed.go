package chirp

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Member is somebody to seed a history for.
type Member struct{ Handle, Name string }

// Seed adds some posts, drafts and messages of two people, unless somebody has posted
// already. They belong to whoever signs in with these handles.
func (a *App) Seed(ctx context.Context, one, two Member, now time.Time) error {
	return a.data.inTx(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM posts`).Scan(&n); err != nil || n > 0 {
			return err
		}
		ids := map[Member]int64{}
		for _, m := range []Member{one, two} {
			var id int64
			if err := tx.QueryRowContext(ctx, `INSERT INTO people (handle, name) VALUES (?1, ?2)
				ON CONFLICT (handle) DO UPDATE SET name = ?2 RETURNING id`, m.Handle, m.Name).Scan(&id); err != nil {
				return err
			}
			ids[m] = id
		}
		at := func(ago time.Duration) int64 { return now.Add(-ago).UnixMilli() }
		const hour, day = time.Hour, 24 * time.Hour
		return errors.Join(
			insert(ctx, tx, insertPost, [][]any{
				{ids[one], "First frost on the allotment. The kale will be the better for it.", at(6 * day)},
				{ids[two],
					"Found a fountain pen in a coat I have not worn since spring. It still writes.", at(4 * day)},
				{ids[one], "Rehearsal ran long. Everybody left the stage at once, for a change.", at(2*day + 3*hour)},
				{ids[two],
					"Whoever returned the library’s copy of the bird guide with the corrections in pencil: thank you.",
					at(26 * hour)},
				{ids[one], "Soup weather.", at(3 * hour)},
			}),
			insert(ctx, tx, insertDraft, [][]any{
				{ids[one],
					"Things I would tell my younger self about understudies: learn the exits first.", at(30 * hour)},
				{ids[two], "A list of every pen I own, and why I need all of them.", at(5 * hour)},
			}),
			insert(ctx, tx, insertMessage, [][]any{
				{ids[two], ids[one], "Are you still at the theatre on Thursday? I have your scarf.", at(50 * hour)},
				{ids[one], ids[two],
					"Until nine. The stage door code is the year you were born, backwards.", at(49 * hour)},
				{ids[two], ids[one], "You remembered. I will bring soup.", at(48 * hour)},
			}),
		)
	})
}

func insert(ctx context.Context, tx *sql.Tx, query string, rows [][]any) error {
	for _, row := range rows {
		if _, err := tx.ExecContext(ctx, query, row...); err != nil {
			return err
		}
	}
	return nil
}

// DeletePosts deletes everything that somebody has posted, for the demo.
func (a *App) DeletePosts(ctx context.Context, handle string) error {
	const query = `DELETE FROM posts WHERE author IN (SELECT id FROM people WHERE handle = ?)`
	_, err := a.data.db.ExecContext(ctx, query, handle)
	return err
}
