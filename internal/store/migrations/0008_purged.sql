-- Up to purged, the sessions that events ended and whose time is over have been
-- deleted.

-- +goose Up
ALTER TABLE log_head ADD COLUMN purged INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE log_head DROP COLUMN purged;
