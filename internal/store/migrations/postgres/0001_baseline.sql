-- Times are milliseconds since 1970-01-01 UTC. IDs are 16 random bytes, hashes
-- are SHA-256. Every table of accounts leads with the account, so that it can
-- be split by account. No column holds a secret in a usable form.
-- The other engine's baseline has the same tables and columns in its own types; a
-- test compares them. "C" compares bytes, as SQLite does.

-- +goose Up

CREATE TABLE accounts (
  id                 BYTEA            NOT NULL PRIMARY KEY,
  handle             TEXT COLLATE "C" NOT NULL UNIQUE,
  name               TEXT COLLATE "C" NOT NULL,
  email              TEXT COLLATE "C" NOT NULL,
  email_key          TEXT COLLATE "C" NOT NULL,
  email_confirmed    BIGINT           NOT NULL,
  confirmed_at       BIGINT, -- when the address was confirmed; NULL: it is not, or it came confirmed
  email_pending      TEXT COLLATE "C" NOT NULL DEFAULT '', -- replaces a confirmed address once it is confirmed
  display            TEXT COLLATE "C" NOT NULL,
  language           TEXT COLLATE "C" NOT NULL DEFAULT '', -- of mails to it; '': not known
  language_chosen    BIGINT NOT NULL DEFAULT 0, -- 1: the person has chosen it; 0: it is that of the last sign-in
  profile_version    BIGINT           NOT NULL,
  password_hash      TEXT COLLATE "C", -- NULL: the account has no password
  password_set       BIGINT,
  status             TEXT COLLATE "C" NOT NULL,
  created            BIGINT           NOT NULL,
  generation         BIGINT           NOT NULL,
  credential_version BIGINT           NOT NULL,
  live_sessions      BIGINT           NOT NULL,
  ended_sessions     BIGINT           NOT NULL DEFAULT 0, -- that are still stored
  last_ended         BIGINT           NOT NULL,
  oldest_live        BIGINT           NOT NULL DEFAULT 0, -- no live session started before this
  signed_in          BIGINT  NOT NULL DEFAULT 0, -- 1: somebody has signed in before
  passkey_declined   BIGINT           NOT NULL DEFAULT 0, -- 1: the person does not want to be offered one again
  delete_after       BIGINT, -- NULL: it is not being deleted
  reviewed           BIGINT NOT NULL DEFAULT 0, -- the last review of sessions and apps; 0: never
  review_later       BIGINT NOT NULL DEFAULT 0, -- until when no page reminds of the next
  review_mail        BIGINT NOT NULL DEFAULT 0, -- 1: the owner wants a mail when it is due
  review_mail_due    BIGINT NOT NULL DEFAULT 0  -- 0: none is to be sent
);
-- Only a confirmed address identifies, so only confirmed ones must be unique.
CREATE UNIQUE INDEX accounts_email ON accounts (email_key) WHERE email_confirmed = 1;

CREATE INDEX accounts_delete ON accounts (delete_after) WHERE delete_after IS NOT NULL;

CREATE INDEX accounts_review_mail ON accounts (review_mail_due) WHERE review_mail_due > 0;

-- An account's last review: what there was to look at, how far its owner has got, and 0 in finished while it is under way.
CREATE TABLE reviews (
  account_id BYTEA NOT NULL PRIMARY KEY REFERENCES accounts (id),
  started    BIGINT NOT NULL,
  items      TEXT COLLATE "C" NOT NULL,
  place      BIGINT NOT NULL,
  kept       BIGINT NOT NULL,
  ended      BIGINT NOT NULL,
  finished   BIGINT NOT NULL
);

-- How far the owner of an account has got with securing it, after all of it was ended. looked are the steps that they
-- have called right.
CREATE TABLE securings (
  account_id BYTEA NOT NULL PRIMARY KEY REFERENCES accounts (id),
  started    BIGINT NOT NULL,
  by_kind    TEXT COLLATE "C" NOT NULL,
  ended      BIGINT NOT NULL,
  looked     TEXT COLLATE "C" NOT NULL,
  finished   BIGINT NOT NULL -- 0: under way
);

-- Pictures of accounts, as JPEGs. Whoever knows a picture's name may fetch it, as apps do; it is another for each.
CREATE TABLE pictures (
  account_id BYTEA            NOT NULL PRIMARY KEY REFERENCES accounts (id),
  name       TEXT COLLATE "C" NOT NULL UNIQUE,
  small      BYTEA            NOT NULL,
  large      BYTEA            NOT NULL,
  hash       BYTEA            NOT NULL, -- of large
  changed    BIGINT           NOT NULL
);

-- Handles of deleted accounts, which nobody may take for a while: keyed hashes, because no handle may be left.
CREATE TABLE past_handles (
  sum   BYTEA NOT NULL PRIMARY KEY,
  until BIGINT NOT NULL
);
CREATE INDEX past_handles_until ON past_handles (until);

-- Which groups an account is in, and how many accounts each group has. A group
-- without members has no row.
CREATE TABLE account_groups (
  account_id BYTEA            NOT NULL REFERENCES accounts (id),
  name       TEXT COLLATE "C" NOT NULL,
  added      BIGINT           NOT NULL,
  PRIMARY KEY (account_id, name)
);
CREATE INDEX account_groups_name ON account_groups (name, added, account_id);
CREATE TABLE group_sizes (
  name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  members BIGINT           NOT NULL
);

-- Ending a session, or saving its activity, changes no column that an index has, and
-- pages have some room left: so the row is written anew on its own page.
CREATE TABLE sessions (
  account_id       BYTEA            NOT NULL REFERENCES accounts (id),
  id               BYTEA            NOT NULL,
  token_hash       BYTEA            NOT NULL UNIQUE,
  kind             TEXT COLLATE "C" NOT NULL,
  label            TEXT COLLATE "C" NOT NULL,
  user_agent       TEXT COLLATE "C" NOT NULL,
  address          TEXT COLLATE "C" NOT NULL,
  last_address     TEXT COLLATE "C" NOT NULL DEFAULT '', -- of the last activity; '' is address
  methods          TEXT COLLATE "C" NOT NULL,
  proved_at        BIGINT           NOT NULL,
  started          BIGINT           NOT NULL,
  seen             BIGINT           NOT NULL,
  idle             BIGINT           NOT NULL,
  expires          BIGINT           NOT NULL,
  due              BIGINT           NOT NULL, -- when maintenance looks at it next: never later than its time may run out
  generation       BIGINT           NOT NULL,
  ended_at         BIGINT,
  ended_reason     TEXT COLLATE "C",
  ended_by         TEXT COLLATE "C",
  ended_by_session BYTEA,
  ended_by_label   TEXT COLLATE "C",
  closing          BIGINT           NOT NULL DEFAULT 0, -- when its last page on a shared computer was closed, as a page said; 0: open
  PRIMARY KEY (account_id, id)
) WITH (fillfactor = 80);
CREATE INDEX sessions_closing ON sessions (closing, id) WHERE closing > 0;
-- A browser names the session it holds without knowing whose it was.
CREATE UNIQUE INDEX sessions_id ON sessions (id);
CREATE INDEX sessions_due ON sessions (due);
-- Operators list the sessions of every account by their sign-in.
CREATE INDEX sessions_started ON sessions (started, id);
-- An account lists its own by their sign-in; the oldest end first when it has too many.
CREATE INDEX sessions_account ON sessions (account_id, started, id);

-- Tokens that were replaced by another one of the same session, for a day.
CREATE TABLE renewals (
  hash       BYTEA   NOT NULL PRIMARY KEY,
  account_id BYTEA   NOT NULL,
  session_id BYTEA   NOT NULL,
  at         BIGINT  NOT NULL
);
CREATE INDEX renewals_session ON renewals (account_id, session_id, at);
CREATE INDEX renewals_at ON renewals (at);

CREATE TABLE app_sessions (
  account_id       BYTEA            NOT NULL,
  id               BYTEA            NOT NULL,
  session_id       BYTEA            NOT NULL,
  client_id        TEXT COLLATE "C" NOT NULL,
  registration     BIGINT           NOT NULL,
  token_hash       BYTEA            NOT NULL UNIQUE,
  scopes           TEXT COLLATE "C" NOT NULL,
  token_expires    BIGINT           NOT NULL, -- 0: with the session
  refreshes        BIGINT           NOT NULL,
  refreshed        BIGINT           NOT NULL,
  started          BIGINT           NOT NULL,
  seen             BIGINT           NOT NULL,
  ended_at         BIGINT,
  ended_reason     TEXT COLLATE "C",
  ended_by         TEXT COLLATE "C",
  ended_by_session BYTEA,
  ended_by_label   TEXT COLLATE "C",
  PRIMARY KEY (account_id, id),
  FOREIGN KEY (account_id, session_id) REFERENCES sessions (account_id, id) ON DELETE CASCADE
);
CREATE INDEX app_sessions_parent ON app_sessions (account_id, session_id, client_id, started);
-- The children of a session on a client that have not ended, oldest first.
CREATE INDEX app_sessions_live ON app_sessions (account_id, session_id, client_id, started) WHERE ended_at IS NULL;
-- What an account has in each app, newest first; and how many app sessions a client has.
CREATE INDEX app_sessions_client ON app_sessions (client_id, registration, account_id, started) WHERE ended_at IS NULL;
CREATE INDEX app_sessions_ended ON app_sessions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE codes (
  hash           BYTEA            NOT NULL PRIMARY KEY,
  account_id     BYTEA            NOT NULL,
  session_id     BYTEA            NOT NULL,
  client_id      TEXT COLLATE "C" NOT NULL,
  registration   BIGINT           NOT NULL,
  redirect_uri   TEXT COLLATE "C" NOT NULL,
  challenge      TEXT COLLATE "C" NOT NULL, -- '' without PKCE
  scopes         TEXT COLLATE "C" NOT NULL,
  nonce          TEXT COLLATE "C" NOT NULL,
  expires        BIGINT           NOT NULL,
  spent_at       BIGINT,
  app_session_id BYTEA
);
CREATE INDEX codes_expires ON codes (expires);
CREATE INDEX codes_account ON codes (account_id);

-- What a device waits for: that somebody types the user code. Once they allow it, there is a code of the same hash.
CREATE TABLE device_codes (
  user_code    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  hash         BYTEA            NOT NULL UNIQUE,
  client_id    TEXT COLLATE "C" NOT NULL,
  registration BIGINT           NOT NULL,
  scopes       TEXT COLLATE "C" NOT NULL,
  user_agent   TEXT COLLATE "C" NOT NULL,
  address      TEXT COLLATE "C" NOT NULL,
  expires      BIGINT           NOT NULL,
  state        TEXT COLLATE "C" NOT NULL, -- 'waiting', 'allowed' or 'declined'
  account_id   BYTEA           -- who allowed or declined it
);
CREATE INDEX device_codes_expires ON device_codes (expires);
CREATE INDEX device_codes_account ON device_codes (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX device_codes_client ON device_codes (client_id, expires);

-- What a person has allowed an app, and when they were last asked.
CREATE TABLE consents (
  account_id   BYTEA            NOT NULL REFERENCES accounts (id),
  client_id    TEXT COLLATE "C" NOT NULL,
  registration BIGINT           NOT NULL,
  scopes       TEXT COLLATE "C" NOT NULL,
  at           BIGINT           NOT NULL,
  PRIMARY KEY (account_id, client_id)
);
-- What is left of a client that was removed.
CREATE INDEX consents_client ON consents (client_id, registration);

-- Registered apps. settings is JSON, key_hashes the hashes of secrets one after
-- the other. source says who registered it: one of the configuration file goes
-- when the file no longer names it. registration is the number of the event that
-- registered it: what other tables have of an earlier registration is of no use.
CREATE TABLE clients (
  id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  settings     TEXT COLLATE "C" NOT NULL,
  key_hashes   BYTEA            NOT NULL,
  source       TEXT COLLATE "C" NOT NULL,
  created      BIGINT           NOT NULL,
  changed      BIGINT           NOT NULL,
  registration BIGINT           NOT NULL
);

-- How what somebody has in an app is ended by its API, also of clients that
-- operators registered: settings is JSON, sealed the secret, by the master key.
-- The configuration file alone makes them, and they go when it no longer names
-- them.
CREATE TABLE connectors (
  client_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  settings  TEXT COLLATE "C" NOT NULL,
  sealed    BYTEA
);

-- A one-time link. One that names an account sets a new password of it; one
-- without makes an account.
CREATE TABLE invites (
  hash            BYTEA            NOT NULL PRIMARY KEY,
  handle          TEXT COLLATE "C" NOT NULL,
  name            TEXT COLLATE "C" NOT NULL,
  email           TEXT COLLATE "C" NOT NULL,
  email_key       TEXT COLLATE "C" NOT NULL,
  email_confirmed BIGINT           NOT NULL,
  expires         BIGINT           NOT NULL,
  spent_at        BIGINT,
  account_id      BYTEA            REFERENCES accounts (id)
);
CREATE INDEX invites_expires ON invites (expires);
CREATE INDEX invites_handle ON invites (handle);
CREATE INDEX invites_email ON invites (email_key);
CREATE INDEX invites_account ON invites (account_id) WHERE account_id IS NOT NULL;

-- What proves who somebody is besides the password: an authenticator app or a passkey. data of an app is its secret,
-- sealed by the master key; of a passkey what is public of it. counter is the last time step whose code was taken, or
-- the passkey's own count. 0 in used: never.
CREATE TABLE factors (
  account_id   BYTEA   NOT NULL REFERENCES accounts (id),
  id           BYTEA   NOT NULL,
  kind         TEXT    NOT NULL,
  name         TEXT    NOT NULL,
  data         BYTEA   NOT NULL,
  credential   BYTEA  , -- a passkey's ID
  counter      BIGINT  NOT NULL,
  created      BIGINT  NOT NULL,
  used         BIGINT  NOT NULL,
  used_label   TEXT    NOT NULL,
  used_address TEXT    NOT NULL,
  PRIMARY KEY (account_id, id)
);
CREATE UNIQUE INDEX factors_credential ON factors (credential) WHERE credential IS NOT NULL;

-- Codes on paper, hashed like passwords. The number, with which a code begins, says which one it is compared with.
CREATE TABLE recovery_codes (
  account_id BYTEA   NOT NULL REFERENCES accounts (id),
  number     BIGINT  NOT NULL,
  hash       TEXT    NOT NULL,
  made       BIGINT  NOT NULL,
  spent_at   BIGINT ,
  PRIMARY KEY (account_id, number)
);

-- What is remembered of somebody between two steps of proving who they are. It is no session, and no check takes its
-- token. answer is what it was answered with: the same again gets the same.
CREATE TABLE challenges (
  hash               BYTEA   NOT NULL PRIMARY KEY,
  account_id         BYTEA  , -- NULL: a passkey will tell
  purpose            TEXT    NOT NULL,
  methods            TEXT    NOT NULL, -- that were proved so far
  proved_at          BIGINT  NOT NULL,
  generation         BIGINT  NOT NULL,
  credential_version BIGINT  NOT NULL,
  failures           BIGINT  NOT NULL,
  data               BYTEA   NOT NULL,
  form               TEXT    NOT NULL, -- what the form had that goes on when it is answered
  answer             BYTEA  ,
  expires            BIGINT  NOT NULL
);
CREATE INDEX challenges_expires ON challenges (expires);
CREATE INDEX challenges_account ON challenges (account_id, expires);

-- Single-use links of mails, which confirm an address, undo a change of it, or disown a sign-in.
CREATE TABLE links (
  hash       BYTEA   NOT NULL PRIMARY KEY,
  account_id BYTEA   NOT NULL REFERENCES accounts (id),
  purpose    TEXT    NOT NULL,
  data       TEXT    NOT NULL, -- what it is about
  expires    BIGINT  NOT NULL,
  spent_at   BIGINT 
);
CREATE INDEX links_expires ON links (expires);
CREATE INDEX links_account ON links (account_id, purpose, expires);

-- The browsers and apps that an account was used with, by which a sign-in is recognised. hash is that of a browser's device
-- cookie, or made of an app's network and agent. network is coarse. From familiar on, it is one of the owner's.
CREATE TABLE devices (
  account_id BYTEA   NOT NULL REFERENCES accounts (id),
  hash       BYTEA   NOT NULL,
  agent      TEXT    NOT NULL, -- browser and system, or what an app calls itself
  network    TEXT    NOT NULL,
  first_seen BIGINT  NOT NULL,
  last_seen  BIGINT  NOT NULL,
  familiar   BIGINT  NOT NULL,
  PRIMARY KEY (account_id, hash)
);
CREATE INDEX devices_last_seen ON devices (last_seen);

-- What an account's owner is told and asked. device is the one that the sign-in came from, NULL on a shared computer.
CREATE TABLE notices (
  account_id BYTEA   NOT NULL REFERENCES accounts (id),
  id         BYTEA   NOT NULL,
  kind       TEXT    NOT NULL,
  session_id BYTEA   NOT NULL,
  device     BYTEA  ,
  at         BIGINT  NOT NULL,
  label      TEXT    NOT NULL,
  address    TEXT    NOT NULL,
  place      TEXT    NOT NULL, -- about where that is; '' when it is unknown
  state      TEXT    NOT NULL, -- 'open', 'me' or 'not_me'
  answered   BIGINT ,
  PRIMARY KEY (account_id, id)
);
CREATE INDEX notices_at ON notices (at);

-- The numbered log. seq rises by the events a transaction inserts, touched
-- with every transaction. Up to ends_written, the sessions that an event ended
-- together have their ends written in their own rows. history is a random name:
-- an operator's decision about a restored database replaces it, see marks.
CREATE TABLE log_head (
  id           BIGINT           NOT NULL PRIMARY KEY CHECK (id = 1),
  seq          BIGINT           NOT NULL,
  touched      BIGINT           NOT NULL,
  ends_written BIGINT           NOT NULL,
  history      BYTEA            NOT NULL
);
INSERT INTO log_head (id, seq, touched, ends_written, history) VALUES (1, 0, 0, 0, uuid_send(gen_random_uuid()));

-- An event is the audit entry too. One without an account is about a client.
CREATE TABLE events (
  seq            BIGINT           NOT NULL PRIMARY KEY,
  at             BIGINT           NOT NULL,
  kind           TEXT COLLATE "C" NOT NULL,
  account_id     BYTEA,
  scope          TEXT COLLATE "C" NOT NULL,
  session_id     BYTEA,
  app_session_id BYTEA,
  client_id      TEXT COLLATE "C" NOT NULL,
  generation     BIGINT           NOT NULL,
  version        BIGINT           NOT NULL,
  reason         TEXT COLLATE "C" NOT NULL,
  by_kind        TEXT COLLATE "C" NOT NULL,
  by_account     BYTEA,
  by_session     BYTEA,
  by_app         BYTEA, -- of a person who acted through an app: its app session
  by_label       TEXT COLLATE "C" NOT NULL,
  by_address     TEXT COLLATE "C" NOT NULL,
  ended          BIGINT           NOT NULL DEFAULT 0 -- how many sessions ended by it, or 1 for an app session
);
CREATE INDEX events_generation ON events (account_id, generation) WHERE generation > 0;
-- Few events end sessions together: what is left to write finds them at once.
CREATE INDEX events_together ON events (seq) WHERE generation > 0 OR kind = 'apps_ended';
CREATE INDEX events_apps ON events (client_id, seq) WHERE kind = 'apps_ended';
CREATE INDEX events_account ON events (account_id, at, seq);

-- How far a reader has worked off the log: all of the events up to seq, and of
-- the next one what sorts up to within. One node moves it at a time: the holder,
-- as long as it goes on doing so before the time held.
CREATE TABLE cursors (
  name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  seq    BIGINT           NOT NULL,
  within TEXT COLLATE "C" NOT NULL,
  holder BYTEA,
  held   BIGINT           NOT NULL
);
INSERT INTO cursors (name, seq, within, held) VALUES ('deliveries', 0, '', 0);

-- What an app must be told of the end of a session, or, without a session, of all
-- of the account's. A later end replaces an earlier one.
CREATE TABLE deliveries (
  account_id BYTEA            NOT NULL,
  session_id BYTEA            NOT NULL, -- zeros: every session of the account
  client_id  TEXT COLLATE "C" NOT NULL,
  seq        BIGINT           NOT NULL, -- of the event
  at         BIGINT           NOT NULL, -- when that was recorded
  state      TEXT COLLATE "C" NOT NULL,
  attempts   BIGINT           NOT NULL,
  due        BIGINT           NOT NULL, -- when it is tried next; while it is being tried, when another node may
  give_up    BIGINT           NOT NULL, -- after which it is not tried again
  error      TEXT COLLATE "C" NOT NULL, -- of the last attempt
  finished   BIGINT          , -- NULL: pending
  PRIMARY KEY (account_id, session_id, client_id)
);
CREATE INDEX deliveries_due ON deliveries (client_id, due) WHERE finished IS NULL;
CREATE INDEX deliveries_pending ON deliveries (client_id, give_up) WHERE finished IS NULL;
CREATE INDEX deliveries_finished ON deliveries (finished) WHERE finished IS NOT NULL;

-- What a webhook must be told, once: body is the same for each attempt. Confirmed ones are deleted.
CREATE TABLE messages (
  webhook    TEXT COLLATE "C" NOT NULL, -- its name in the configuration file
  id         TEXT COLLATE "C" NOT NULL, -- the same for each webhook that is told of this
  account_id BYTEA            NOT NULL,
  body       BYTEA            NOT NULL,
  attempts   BIGINT           NOT NULL,
  due        BIGINT           NOT NULL, -- when it is tried next; while it is being tried, when another node may
  give_up    BIGINT           NOT NULL, -- after which it is not tried again
  error      TEXT COLLATE "C" NOT NULL, -- of the last attempt
  finished   BIGINT          , -- when it was given up; NULL: pending
  PRIMARY KEY (webhook, id)
);
CREATE INDEX messages_due ON messages (webhook, due) WHERE finished IS NULL;
CREATE INDEX messages_pending ON messages (webhook, give_up) WHERE finished IS NULL;
CREATE INDEX messages_account ON messages (account_id);
CREATE INDEX messages_finished ON messages (finished) WHERE finished IS NOT NULL;

-- Mails to people. To whom one goes and what it says are sealed by the master key, which is never in the
-- database, and deleted once a server has accepted it. recipient is a keyed hash of the address, for a limit.
CREATE TABLE mails (
  id         BYTEA            NOT NULL PRIMARY KEY,
  account_id BYTEA,
  template   TEXT COLLATE "C" NOT NULL,
  recipient  BYTEA            NOT NULL,
  sealed     BYTEA            NOT NULL,
  state      TEXT COLLATE "C" NOT NULL,
  created    BIGINT           NOT NULL,
  attempts   BIGINT           NOT NULL,
  due        BIGINT           NOT NULL, -- when it is tried next; while it is being tried, when another node may
  give_up    BIGINT           NOT NULL, -- after which it is not tried again
  error      TEXT COLLATE "C" NOT NULL, -- of the last attempt
  finished   BIGINT -- NULL: pending
);
CREATE INDEX mails_created ON mails (created, id);
CREATE INDEX mails_state ON mails (state, created, id);
CREATE INDEX mails_due ON mails (due) WHERE finished IS NULL;
CREATE INDEX mails_pending ON mails (account_id, created) WHERE finished IS NULL;
CREATE INDEX mails_finished ON mails (finished) WHERE finished IS NOT NULL;
-- How many of one sort an account or an address was sent lately.
CREATE INDEX mails_account ON mails (account_id, template, created);
CREATE INDEX mails_recipient ON mails (recipient, template, created);

-- Other audit entries; seq is the event after which each was made.
CREATE TABLE audit (
  id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  seq        BIGINT           NOT NULL,
  account_id BYTEA            NOT NULL,
  at         BIGINT           NOT NULL,
  action     TEXT COLLATE "C" NOT NULL,
  session_id BYTEA,
  by_kind    TEXT COLLATE "C" NOT NULL,
  by_account BYTEA,
  by_session BYTEA,
  by_label   TEXT COLLATE "C" NOT NULL,
  by_address TEXT COLLATE "C" NOT NULL,
  detail     TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_account ON audit (account_id, at, seq, id);

-- Outcomes by idempotency key, so that a retry gets the first answer again.
CREATE TABLE outcomes (
  actor      TEXT COLLATE "C" NOT NULL,
  key        TEXT COLLATE "C" NOT NULL,
  request    TEXT COLLATE "C" NOT NULL,
  seq        BIGINT           NOT NULL,
  ended      BIGINT           NOT NULL,
  at         BIGINT           NOT NULL,
  made       BYTEA, -- by a form: the account or session that it started
  PRIMARY KEY (actor, key)
);
CREATE INDEX outcomes_at ON outcomes (at);

-- Keys, sealed by a master key that is never in the database.
CREATE TABLE sealed_keys (
  id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  purpose TEXT COLLATE "C" NOT NULL,
  sealed  BYTEA            NOT NULL,
  created BIGINT           NOT NULL
);

-- Public keys that a receipt was signed with: people keep receipts for longer than those keys are in use.
CREATE TABLE receipt_keys (
  id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  key     TEXT COLLATE "C" NOT NULL, -- as RFC 7517 section 4 has it
  created BIGINT           NOT NULL
);

-- A row a node, for its heartbeats. They are commits like any other, so that a
-- server whose commits count no more cannot confirm one.
CREATE TABLE nodes (
  id   BYTEA            NOT NULL PRIMARY KEY,
  beat BIGINT           NOT NULL,
  at   BIGINT           NOT NULL
);

-- Names that were left in this history, each when something was kept elsewhere
-- that goes with it: an older database that is put back does not have them. The
-- names of earlier histories are among them.
CREATE TABLE marks (
  id BYTEA            NOT NULL PRIMARY KEY,
  at BIGINT           NOT NULL
);
CREATE INDEX marks_at ON marks (at);

-- +goose Down
DROP TABLE marks;
DROP TABLE nodes;
DROP TABLE receipt_keys;
DROP TABLE sealed_keys;
DROP TABLE outcomes;
DROP TABLE audit;
DROP TABLE mails;
DROP TABLE messages;
DROP TABLE deliveries;
DROP TABLE cursors;
DROP TABLE events;
DROP TABLE log_head;
DROP TABLE notices;
DROP TABLE devices;
DROP TABLE links;
DROP TABLE challenges;
DROP TABLE recovery_codes;
DROP TABLE factors;
DROP TABLE invites;
DROP TABLE connectors;
DROP TABLE clients;
DROP TABLE consents;
DROP TABLE device_codes;
DROP TABLE codes;
DROP TABLE app_sessions;
DROP TABLE renewals;
DROP TABLE sessions;
DROP TABLE group_sizes;
DROP TABLE account_groups;
DROP TABLE past_handles;
DROP TABLE reviews;
DROP TABLE securings;
DROP TABLE pictures;
DROP TABLE accounts;
