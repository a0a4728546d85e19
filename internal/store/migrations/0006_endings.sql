-- An ending is one row: its event is its audit entry too. by_address is NULL in
-- events that are not (they are of the schema before, or do not tell of an end).
-- Other entries tell after which event they were made.
-- Up to purged, the sessions that events ended and whose time is over have been
-- deleted.

-- Nodes of the version before go on meanwhile, and lock these tables in an order
-- of their own: so each is locked by itself. Each statement may be repeated.
-- postgres: no transaction

-- +goose Up
ALTER TABLE events ADD COLUMN /* if not exists */ by_address TEXT;
ALTER TABLE audit ADD COLUMN /* if not exists */ seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log_head ADD COLUMN /* if not exists */ purged INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE log_head DROP COLUMN purged;
ALTER TABLE audit DROP COLUMN seq;
ALTER TABLE events DROP COLUMN by_address;
