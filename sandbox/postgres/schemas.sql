-- The database of the example stack before its migrations (migrations.ts), as the policy in sandbox/driftwatch.yaml
-- requires.
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

CREATE TABLE control.accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE control.api_keys (account_id bigint NOT NULL REFERENCES control.accounts, digest bytea NOT NULL);
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA control TO oa_control_rw;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA control TO oa_control_rw;
