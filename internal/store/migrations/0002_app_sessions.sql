-- +goose Up

-- The children of a session on a client that have not ended, oldest first.
CREATE INDEX app_sessions_live ON app_sessions (account_id, session_id, client_id, started) WHERE ended_at IS NULL;
-- Those that have ended go when the retention is over, as sessions do.
CREATE INDEX app_sessions_ended ON app_sessions (ended_at) WHERE ended_at IS NOT NULL;

-- +goose Down
DROP INDEX app_sessions_ended;
DROP INDEX app_sessions_live;
