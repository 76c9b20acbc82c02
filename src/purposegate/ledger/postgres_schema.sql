-- The purposegate ledger in PostgreSQL, schema 1. Run once in each database that is to hold a ledger, as a superuser
-- (or as a role that may create roles and is a member of purposegate_owner):
--
--   psql --no-psqlrc --single-transaction --set ON_ERROR_STOP=1 --file postgres_schema.sql DATABASE
--
-- Four roles, none of which can log in. Give each program a login of its own and one of them, and no more:
--
--   CREATE ROLE gate LOGIN PASSWORD '...' IN ROLE purposegate_app;
--
--   purposegate_owner      owns the tables; nobody works under it
--   purposegate_app        the gates: read and add; change only the head, the counters and the signed heads
--   purposegate_retention  erases payloads when retention says so, and what they added to the counters
--   purposegate_auditor    verify and query: reads, changes nothing
--
-- These rights and the triggers below stop accidents and programs. They do not stop the database's administrator: what he
-- changes is shown by `purposegate ledger verify`, by signed heads kept elsewhere and by a witness.

DO $$
DECLARE role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['owner', 'app', 'retention', 'auditor'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'purposegate_' || role) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', 'purposegate_' || role);
    END IF;
  END LOOP;
END $$;

CREATE SCHEMA purposegate_ledger AUTHORIZATION purposegate_owner;
SET ROLE purposegate_owner;
SET search_path = purposegate_ledger;

-- Entries of all shards stand under a position: shard number times 2**40 plus index.
CREATE TABLE meta    (name text PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE shard   (number bigint PRIMARY KEY CHECK (number BETWEEN 1 AND 4194303), name text NOT NULL UNIQUE,
                      origin text NOT NULL, vkey text NOT NULL);
CREATE TABLE head    (shard bigint PRIMARY KEY, size bigint NOT NULL, root bytea NOT NULL, frontier bytea NOT NULL,
                      epoch bigint NOT NULL) WITH (fillfactor = 10);
CREATE TABLE leaf    (pos bigint PRIMARY KEY, data bytea NOT NULL, h bytea NOT NULL);
CREATE TABLE payload (pos bigint PRIMARY KEY, kid bigint NOT NULL, nonce bytea NOT NULL, ct bytea NOT NULL);
CREATE TABLE tile    (shard bigint, l bigint, n bigint, data bytea NOT NULL, PRIMARY KEY (shard, l, n));
CREATE TABLE counter (tok bytea, shard bigint, n bigint NOT NULL, PRIMARY KEY (tok, shard)) WITH (fillfactor = 80);
CREATE TABLE ckpt    (shard bigint, size bigint, at bigint NOT NULL, note bytea NOT NULL, PRIMARY KEY (shard, size));
CREATE TABLE cosig   (shard bigint, size bigint, keyname text, line text NOT NULL, PRIMARY KEY (shard, size, keyname));

-- Ciphertext does not compress; trying costs time at every commit.
ALTER TABLE payload ALTER COLUMN ct SET STORAGE EXTERNAL;
ALTER TABLE tile ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER leaf_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON leaf EXECUTE FUNCTION append_only();
CREATE TRIGGER tile_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tile EXECUTE FUNCTION append_only();

REVOKE ALL ON FUNCTION append_only() FROM PUBLIC;
GRANT USAGE ON SCHEMA purposegate_ledger TO purposegate_app, purposegate_retention, purposegate_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA purposegate_ledger TO purposegate_app, purposegate_retention, purposegate_auditor;
GRANT INSERT ON ALL TABLES IN SCHEMA purposegate_ledger TO purposegate_app;
GRANT UPDATE (size, root, frontier, epoch) ON head TO purposegate_app;
GRANT UPDATE (n) ON counter TO purposegate_app;
GRANT UPDATE (line) ON cosig TO purposegate_app;
GRANT DELETE ON ckpt, cosig TO purposegate_app;  -- of one minute's signed heads only the last is kept
GRANT DELETE ON payload, counter TO purposegate_retention;
GRANT UPDATE (n) ON counter TO purposegate_retention;

INSERT INTO meta VALUES ('application', 'PGL1'), ('schema', '1');
RESET search_path;
RESET ROLE;
