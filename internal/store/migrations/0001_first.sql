-- Times are milliseconds since 1970-01-01 UTC. IDs are 16 random bytes, hashes
-- are SHA-256. Every table of accounts leads with the account, so that it can
-- be split by account. No column holds a secret in a usable form.
--
-- Types are written as SQLite has them and are spelled anew for PostgreSQL (see
-- postgres.go); "counts" marks a number that the database gives out itself.

-- +goose Up

CREATE TABLE accounts (
  id                 BLOB    NOT NULL PRIMARY KEY,
  handle             TEXT    NOT NULL UNIQUE,
  name               TEXT    NOT NULL,
  email              TEXT    NOT NULL,
  email_key          TEXT    NOT NULL,
  email_confirmed    INTEGER NOT NULL,
  display            TEXT    NOT NULL,
  profile_version    INTEGER NOT NULL,
  password_hash      TEXT    NOT NULL,
  password_set       INTEGER NOT NULL,
  status             TEXT    NOT NULL,
  created            INTEGER NOT NULL,
  generation         INTEGER NOT NULL,
  credential_version INTEGER NOT NULL,
  live_sessions      INTEGER NOT NULL,
  last_ended         INTEGER NOT NULL
);
-- Only a confirmed address identifies, so only confirmed ones must be unique.
CREATE UNIQUE INDEX accounts_email ON accounts (email_key) WHERE email_confirmed = 1;

CREATE TABLE sessions (
  account_id       BLOB    NOT NULL REFERENCES accounts (id),
  id               BLOB    NOT NULL,
  token_hash       BLOB    NOT NULL UNIQUE,
  kind             TEXT    NOT NULL,
  label            TEXT    NOT NULL,
  user_agent       TEXT    NOT NULL,
  address          TEXT    NOT NULL,
  method           TEXT    NOT NULL,
  started          INTEGER NOT NULL,
  seen             INTEGER NOT NULL,
  idle             INTEGER NOT NULL,
  expires          INTEGER NOT NULL,
  deadline         INTEGER NOT NULL, -- the earlier of expires and seen + idle
  generation       INTEGER NOT NULL,
  ended_at         INTEGER,
  ended_reason     TEXT,
  ended_by         TEXT,
  ended_by_session BLOB,
  ended_by_label   TEXT,
  PRIMARY KEY (account_id, id)
);
-- A browser names the session it holds without knowing whose it was.
CREATE UNIQUE INDEX sessions_id ON sessions (id);
CREATE INDEX sessions_deadline ON sessions (deadline) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE app_sessions (
  account_id       BLOB    NOT NULL,
  id               BLOB    NOT NULL,
  session_id       BLOB    NOT NULL,
  client_id        TEXT    NOT NULL,
  token_hash       BLOB    NOT NULL UNIQUE,
  started          INTEGER NOT NULL,
  seen             INTEGER NOT NULL,
  ended_at         INTEGER,
  ended_reason     TEXT,
  ended_by         TEXT,
  ended_by_session BLOB,
  ended_by_label   TEXT,
  PRIMARY KEY (account_id, id),
  FOREIGN KEY (account_id, session_id) REFERENCES sessions (account_id, id) ON DELETE CASCADE
);
CREATE INDEX app_sessions_parent ON app_sessions (account_id, session_id);

CREATE TABLE codes (
  hash           BLOB    NOT NULL PRIMARY KEY,
  account_id     BLOB    NOT NULL,
  session_id     BLOB    NOT NULL,
  client_id      TEXT    NOT NULL,
  redirect_uri   TEXT    NOT NULL,
  challenge      TEXT    NOT NULL,
  expires        INTEGER NOT NULL,
  spent_at       INTEGER,
  app_session_id BLOB
);
CREATE INDEX codes_expires ON codes (expires);

CREATE TABLE invites (
  hash            BLOB    NOT NULL PRIMARY KEY,
  handle          TEXT    NOT NULL,
  name            TEXT    NOT NULL,
  email           TEXT    NOT NULL,
  email_confirmed INTEGER NOT NULL,
  expires         INTEGER NOT NULL,
  spent_at        INTEGER
);

-- The numbered log. seq rises by the events a transaction inserts, touched
-- with every transaction. Up to settled, the sessions that an event ended
-- together have their ends written in their own rows.
CREATE TABLE log_head (
  id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  seq     INTEGER NOT NULL,
  touched INTEGER NOT NULL,
  settled INTEGER NOT NULL
);
INSERT INTO log_head (id, seq, touched, settled) VALUES (1, 0, 0, 0);

CREATE TABLE events (
  seq            INTEGER NOT NULL PRIMARY KEY,
  at             INTEGER NOT NULL,
  account_id     BLOB    NOT NULL,
  scope          TEXT    NOT NULL,
  session_id     BLOB,
  app_session_id BLOB,
  generation     INTEGER NOT NULL,
  reason         TEXT    NOT NULL,
  by_kind        TEXT    NOT NULL,
  by_account     BLOB,
  by_session     BLOB,
  by_label       TEXT    NOT NULL
);
CREATE INDEX events_generation ON events (account_id, generation) WHERE generation > 0;

CREATE TABLE audit (
  id         INTEGER /* counts */ NOT NULL PRIMARY KEY,
  account_id BLOB    NOT NULL,
  at         INTEGER NOT NULL,
  action     TEXT    NOT NULL,
  session_id BLOB,
  by_kind    TEXT    NOT NULL,
  by_account BLOB,
  by_session BLOB,
  by_label   TEXT    NOT NULL,
  by_address TEXT    NOT NULL,
  detail     TEXT    NOT NULL
);
CREATE INDEX audit_account ON audit (account_id, at);

-- Outcomes by idempotency key, so that a retry gets the first answer again.
CREATE TABLE outcomes (
  actor      TEXT    NOT NULL,
  key        TEXT    NOT NULL,
  request    TEXT    NOT NULL,
  seq        INTEGER NOT NULL,
  ended      INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  PRIMARY KEY (actor, key)
);
CREATE INDEX outcomes_at ON outcomes (at);

-- Keys, sealed by a master key that is never in the database.
CREATE TABLE sealed_keys (
  id      INTEGER /* counts */ NOT NULL PRIMARY KEY,
  purpose TEXT    NOT NULL,
  sealed  BLOB    NOT NULL,
  created INTEGER NOT NULL
);

-- +goose Down
DROP TABLE sealed_keys;
DROP TABLE outcomes;
DROP TABLE audit;
DROP TABLE events;
DROP TABLE log_head;
DROP TABLE invites;
DROP TABLE codes;
DROP TABLE app_sessions;
DROP TABLE sessions;
DROP TABLE accounts;
