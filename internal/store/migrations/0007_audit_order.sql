-- Audit entries that are no events tell after which event they were made.

-- +goose Up
ALTER TABLE audit ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE audit DROP COLUMN seq;
