-- A one-time link may also set a new password of an account that is there: then
-- it names the account. Without one it makes an account.

-- +goose Up
ALTER TABLE invites ADD COLUMN account_id BLOB REFERENCES accounts (id);
CREATE INDEX invites_account ON invites (account_id) WHERE account_id IS NOT NULL;

-- +goose Down
DROP INDEX invites_account;
ALTER TABLE invites DROP COLUMN account_id;
