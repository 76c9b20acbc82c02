
-- What people decide about lookups: approvals, hand-overs, countersigns, reviews. A copy of what entries say, built again by
-- `purposegate review rebuild`; bodies are sealed and names are keyed tokens. The gates may do anything here: a row that the
-- ledger does not bear out approves nothing.
RESET ROLE;
CREATE SCHEMA purposegate_review AUTHORIZATION purposegate_owner;
SET ROLE purposegate_owner;
CREATE TABLE purposegate_review.matter (id text PRIMARY KEY, kind text NOT NULL, step bigint NOT NULL, at bigint NOT NULL,
                                        until bigint NOT NULL, kid bigint NOT NULL, nonce bytea NOT NULL, body bytea NOT NULL);
CREATE TABLE purposegate_review.party  (tok bytea, at bigint, id text, PRIMARY KEY (tok, at, id));
CREATE INDEX party_id ON purposegate_review.party (id);
CREATE TABLE purposegate_review.claim  (what text PRIMARY KEY, by text NOT NULL, at bigint NOT NULL);
GRANT USAGE ON SCHEMA purposegate_review TO purposegate_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA purposegate_review TO purposegate_app;
RESET ROLE;
