-- A row a node, for its heartbeats. They are commits like any other, so that a
-- server whose commits count no more cannot confirm one.

-- +goose Up

CREATE TABLE nodes (
  id   BLOB    NOT NULL PRIMARY KEY,
  beat INTEGER NOT NULL,
  at   INTEGER NOT NULL
);

-- Of events that tell of a changed profile.
ALTER TABLE events ADD COLUMN version INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE events DROP COLUMN version;
DROP TABLE nodes;
