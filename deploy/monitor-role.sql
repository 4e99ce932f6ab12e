-- Makes the login that Driftwatch looks with. It may connect, and that is all: the catalog of PostgreSQL says who may do
-- what to everybody who is let in. Run it in the database that is watched, as its administrator, as often as you like:
--
--   psql "$DB_ADMIN_URL" -v ON_ERROR_STOP=1 -f deploy/monitor-role.sql
--   psql "$DB_ADMIN_URL" -c '\password driftwatch_monitor'
--
-- and give the config postgres://driftwatch_monitor:PASSWORD@HOST/DATABASE as `database.url`.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'driftwatch_monitor') THEN
    CREATE ROLE driftwatch_monitor LOGIN;
  END IF;
  EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO driftwatch_monitor', pg_catalog.current_database());
END
$$;

-- One connection for each Driftwatch; an old and a new one stand side by side while it is deployed.
ALTER ROLE driftwatch_monitor CONNECTION LIMIT 5;
ALTER ROLE driftwatch_monitor SET default_transaction_read_only = on;

-- Only where the config has a `database.ledger`: the one table that is read beside the catalog. In a governed schema these two
-- are rights like any other, so the policy names them (docs/checks/schema.md).
-- GRANT USAGE ON SCHEMA runtime TO driftwatch_monitor;
-- GRANT SELECT ON TABLE runtime.schema_migrations TO driftwatch_monitor;
