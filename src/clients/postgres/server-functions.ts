/** Functions that every role may call unless an administrator revoked it. */
const serverFunctions = [
  'pg_control_system',
  'pg_control_checkpoint',
  'pg_postmaster_start_time',
  'pg_current_wal_insert_lsn',
  'pg_walfile_name',
  'pg_last_wal_receive_lsn',
  'pg_last_wal_replay_lsn',
  'pg_last_xact_replay_timestamp',
  'pg_stat_get_wal_receiver',
] as const
export type ServerFunction = (typeof serverFunctions)[number]

/** One row: the names of the functions that exist and that the role may call. A query with any other one would fail. */
export const callableQuery = `
  SELECT ARRAY(
    SELECT p.proname::pg_catalog.text FROM pg_catalog.pg_proc p
    WHERE p.proname = ANY ('{${serverFunctions.join(',')}}')
      AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
      AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE'))`
