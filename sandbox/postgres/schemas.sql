-- The database of the example stack, as the policy in sandbox/driftwatch.yaml requires.
DO $$ BEGIN
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO driftwatch, reporting', current_database());
END $$;

CREATE SCHEMA runtime AUTHORIZATION oa_runtime_owner;
CREATE SCHEMA control;
GRANT USAGE ON SCHEMA runtime TO oa_runtime_rw, oa_spacetime_ro;
GRANT USAGE ON SCHEMA control TO oa_control_rw;

-- Default privileges for the objects of future migrations. Only an entry without a schema revokes EXECUTE on new
-- functions from PUBLIC.
ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO oa_runtime_rw;
ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime
  GRANT USAGE, SELECT ON SEQUENCES TO oa_runtime_rw;
ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Migrations run as the owner.
SET ROLE oa_runtime_owner;
CREATE TABLE runtime.runs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text NOT NULL, started_at timestamptz);
CREATE TABLE runtime.run_events (run_id bigint NOT NULL REFERENCES runtime.runs, position bigint NOT NULL, body jsonb NOT NULL);
CREATE TABLE runtime.sync_topic_sequences (topic text PRIMARY KEY, last_sequence bigint NOT NULL);
CREATE TABLE runtime.sync_stream_events (topic text NOT NULL, sequence bigint NOT NULL, body jsonb NOT NULL, PRIMARY KEY (topic, sequence));
CREATE TABLE runtime.spacetime_projection_checkpoints (projection text PRIMARY KEY, position bigint NOT NULL);
CREATE SEQUENCE runtime.lease_numbers;
CREATE FUNCTION runtime.next_sequence(wanted text) RETURNS bigint LANGUAGE sql AS
  'UPDATE runtime.sync_topic_sequences SET last_sequence = last_sequence + 1 WHERE topic = wanted RETURNING last_sequence';
GRANT EXECUTE ON FUNCTION runtime.next_sequence(text) TO oa_runtime_rw;
GRANT SELECT ON runtime.sync_topic_sequences, runtime.sync_stream_events, runtime.spacetime_projection_checkpoints
  TO oa_spacetime_ro;
RESET ROLE;

CREATE TABLE control.accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE control.api_keys (account_id bigint NOT NULL REFERENCES control.accounts, digest bytea NOT NULL);
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA control TO oa_control_rw;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA control TO oa_control_rw;
