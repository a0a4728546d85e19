-- An end makes a session's row longer. SQLite leaves a page no room for that, so
-- the page would be split, and the pages beside it written too: there a session's
-- row keeps the room until then. PostgreSQL has it in its pages (see fillfactor).

-- +goose Up
ALTER TABLE sessions ADD COLUMN room BLOB;

-- +goose Down
ALTER TABLE sessions DROP COLUMN room;
