
-- Declarations made ahead of their lookups, as long as they are good. No evidence: the ledger has an entry of each. Tokens and
-- owners are digests, contents are sealed with a key that is not in this database.
RESET ROLE;
CREATE SCHEMA purposegate_declarations AUTHORIZATION purposegate_owner;
SET ROLE purposegate_owner;
CREATE TABLE purposegate_declarations.session (token bytea PRIMARY KEY, id text NOT NULL UNIQUE, owner bytea NOT NULL,
                                               until bigint NOT NULL, sealed bytea NOT NULL);
CREATE INDEX session_owner ON purposegate_declarations.session (owner, until);
CREATE INDEX session_until ON purposegate_declarations.session (until);
GRANT USAGE ON SCHEMA purposegate_declarations TO purposegate_app;
GRANT SELECT, INSERT, DELETE ON purposegate_declarations.session TO purposegate_app;
RESET ROLE;
