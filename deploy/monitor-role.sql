-- Creates the database role of Driftwatch. It has only the CONNECT privilege, because every role can read privileges in
-- the catalog of PostgreSQL. Run it in the monitored database, as its administrator. You can run it more than once:
--
--   psql "$DB_ADMIN_URL" -v ON_ERROR_STOP=1 -f deploy/monitor-role.sql
--   psql "$DB_ADMIN_URL" -c '\password driftwatch_monitor'
--
-- Then set postgres://driftwatch_monitor:PASSWORD@HOST/DATABASE as `database.url` in the config.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'driftwatch_monitor') THEN
    CREATE ROLE driftwatch_monitor LOGIN;
  END IF;
  EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO driftwatch_monitor', pg_catalog.current_database());
END
$$;

-- One connection for each Driftwatch; an old and a new instance run together during a deploy.
ALTER ROLE driftwatch_monitor CONNECTION LIMIT 5;
ALTER ROLE driftwatch_monitor SET default_transaction_read_only = on;

-- Only for a config with `database.ledger`, the one table that is read besides the catalog. In a schema of the policy, the
-- policy must also list these two privileges (docs/checks/schema.md).
-- GRANT USAGE ON SCHEMA runtime TO driftwatch_monitor;
-- GRANT SELECT ON TABLE runtime.schema_migrations TO driftwatch_monitor;
