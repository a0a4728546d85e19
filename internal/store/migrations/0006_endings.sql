-- An ending is one row: its event is its audit entry too. by_address is NULL in
-- events that are not (they are of the schema before, or do not tell of an end).
-- Other entries tell after which event they were made.
-- Up to purged, the sessions that events ended and whose time is over have been
-- deleted.

-- +goose Up
ALTER TABLE events ADD COLUMN by_address TEXT;
ALTER TABLE audit ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_head ADD COLUMN purged INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE log_head DROP COLUMN purged;
ALTER TABLE audit DROP COLUMN seq;
ALTER TABLE events DROP COLUMN by_address;
