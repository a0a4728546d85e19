-- Names that were left in this history, each when something was kept elsewhere
-- that goes with it: an older database that is put back does not have them.

-- +goose Up
CREATE TABLE marks (
  id BLOB    NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL
);
CREATE INDEX marks_at ON marks (at);

-- +goose Down
DROP TABLE marks;
