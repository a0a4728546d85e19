-- An ending is one row: its event is its audit entry too. by_address is NULL in
-- events that are not (they are of the schema before, or do not tell of an end).
--
-- This and the next two are migrations of their own, since each locks one table
-- only: nodes that go on meanwhile lock several, in an order of their own.

-- +goose Up
ALTER TABLE events ADD COLUMN by_address TEXT;

-- +goose Down
ALTER TABLE events DROP COLUMN by_address;
