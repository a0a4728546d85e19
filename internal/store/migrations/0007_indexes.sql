-- To end a session, or to note its activity, changes no column that an index
-- has or that a condition of one names: so PostgreSQL writes the row anew on
-- its own page, for which pages are left some room, and SQLite writes no page
-- besides the row's. Therefore sessions.deadline is from now on when the sweep
-- looks at a session next: never later than its time may run out.

-- +goose NO TRANSACTION
-- Nodes of the version before go on meanwhile. Each statement may be repeated,
-- if one of them is broken off.

-- +goose Up
-- Nobody waits behind these, so they may wait for whoever is there, as a backup.
-- postgres: SET lock_timeout = 0;
-- postgres: ALTER TABLE sessions SET (fillfactor = 80);
DROP INDEX /* concurrently */ IF EXISTS events_account;
CREATE INDEX /* concurrently */ events_account ON events (account_id, at) WHERE by_address IS NOT NULL;
DROP INDEX /* concurrently */ IF EXISTS sessions_next;
CREATE INDEX /* concurrently */ sessions_next ON sessions (deadline);
DROP INDEX /* concurrently */ IF EXISTS sessions_deadline;
DROP INDEX /* concurrently */ IF EXISTS sessions_ended;
-- postgres: RESET lock_timeout;

-- +goose Down
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_deadline ON sessions (deadline) WHERE ended_at IS NULL;
DROP INDEX sessions_next;
DROP INDEX events_account;
-- postgres: ALTER TABLE sessions RESET (fillfactor);
