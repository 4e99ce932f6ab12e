import type { GrantsPolicy } from '../../src/grants/model/policy.ts'
import { policy } from './grants-world.ts'

/** A way to make a database drift, the expected differences, and the cleanup of what is not drift. */
export interface Drift {
  readonly title: string
  readonly sql: string
  /** Each must match a difference. */
  readonly lines: readonly RegExp[]
  readonly cleanup?: string
  /** The oldest PostgreSQL with this feature. */
  readonly since?: number
  /** The newest one. */
  readonly until?: number
  readonly policy?: GrantsPolicy
}

const withRuntime = (change: object): GrantsPolicy => ({
  ...policy,
  schemas: { ...policy.schemas, runtime: { ...policy.schemas?.runtime, ...change } },
})

export const drifts: readonly Drift[] = [
  // Direct grants.
  {
    title: 'a privilege on a table',
    sql: 'GRANT SELECT ON runtime.accounts TO mallory',
    lines: [/^unexpected: mallory has SELECT on table runtime\.accounts \(via direct grant\)$/],
  },
  {
    title: 'a privilege of a listed role beyond its own',
    sql: 'GRANT INSERT ON runtime.sync_events TO oa_spacetime_ro',
    lines: [/oa_spacetime_ro has INSERT on table runtime\.sync_events/],
  },
  {
    title: 'a privilege on a table outside the pattern',
    sql: 'GRANT SELECT ON runtime.accounts TO oa_spacetime_ro',
    lines: [/oa_spacetime_ro has SELECT on table runtime\.accounts/],
  },
  {
    title: 'every privilege on a table',
    sql: 'GRANT ALL ON runtime.accounts TO mallory',
    lines: [/mallory has SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER.* on table/],
  },
  {
    title: 'MAINTAIN',
    since: 17,
    sql: 'GRANT MAINTAIN ON runtime.accounts TO oa_runtime_rw',
    lines: [/oa_runtime_rw has MAINTAIN on table/],
  },
  {
    title: 'TRUNCATE',
    sql: 'GRANT TRUNCATE ON runtime.accounts TO oa_runtime_rw',
    lines: [/oa_runtime_rw has TRUNCATE on table/],
  },
  {
    title: 'a privilege on a partition',
    sql: 'GRANT SELECT ON runtime.sync_topics_p0 TO mallory',
    lines: [/mallory has SELECT on table runtime\.sync_topics_p0/],
  },
  {
    title: 'a privilege on a partitioned table',
    sql: 'GRANT SELECT ON runtime.sync_topics TO mallory',
    lines: [/mallory has SELECT on partitioned table runtime\.sync_topics/],
  },
  {
    title: 'a privilege on a view',
    sql: 'GRANT SELECT ON runtime.sync_view TO oa_control_rw',
    lines: [/oa_control_rw has SELECT on view runtime\.sync_view/],
  },
  {
    title: 'a privilege on a materialized view',
    sql: 'GRANT SELECT ON runtime.sync_totals TO mallory',
    lines: [/mallory has SELECT on materialized view/],
  },
  {
    title: 'a privilege on a foreign table',
    sql: 'GRANT SELECT ON runtime.remote TO mallory',
    lines: [/mallory has SELECT on foreign table/],
  },
  {
    title: 'a privilege on a sequence',
    sql: 'GRANT UPDATE ON SEQUENCE runtime.counter TO oa_runtime_rw',
    lines: [/oa_runtime_rw has UPDATE on sequence runtime\.counter/],
  },
  {
    title: 'a privilege on a function',
    sql: 'GRANT EXECUTE ON FUNCTION runtime.area(int, int) TO mallory',
    lines: [/mallory has EXECUTE on function runtime\.area\(integer, integer\)/],
  },
  {
    title: 'a privilege on a SECURITY DEFINER function',
    sql: 'GRANT EXECUTE ON FUNCTION runtime.area(int) TO oa_spacetime_ro',
    lines: [/oa_spacetime_ro has EXECUTE on function runtime\.area\(integer\)/],
  },
  {
    title: 'a privilege on a procedure',
    sql: 'GRANT EXECUTE ON PROCEDURE runtime.tidy(int, text[]) TO mallory',
    lines: [/mallory has EXECUTE on procedure runtime\.tidy/],
  },
  {
    title: 'a privilege on an aggregate',
    sql: 'GRANT EXECUTE ON FUNCTION runtime.total(int) TO mallory',
    lines: [/mallory has EXECUTE on aggregate runtime\.total\(integer\)/],
  },
  {
    title: 'a privilege on an ordered-set aggregate',
    sql: 'GRANT EXECUTE ON ALL ROUTINES IN SCHEMA runtime TO mallory',
    lines: [/mallory has EXECUTE on 5 functions in runtime/],
  },
  {
    title: 'USAGE on the schema',
    sql: 'GRANT USAGE ON SCHEMA runtime TO oa_control_rw',
    lines: [/oa_control_rw has USAGE on schema runtime/],
  },
  {
    title: 'CREATE on the schema',
    sql: 'GRANT CREATE ON SCHEMA runtime TO oa_runtime_rw',
    lines: [/oa_runtime_rw has CREATE on schema runtime/],
  },
  {
    title: 'a privilege without USAGE on the schema',
    sql: 'GRANT SELECT ON control.leases TO mallory',
    lines: [/mallory has SELECT on table control\.leases/],
  },
  {
    title: 'equal privileges on many objects',
    sql: 'GRANT SELECT ON ALL TABLES IN SCHEMA runtime TO mallory',
    lines: [/^unexpected: mallory has SELECT on 8 tables in runtime/],
  },
  // Missing.
  {
    title: 'a missing privilege on a table',
    sql: 'REVOKE SELECT ON runtime.accounts FROM oa_runtime_rw',
    lines: [/^missing: oa_runtime_rw has SELECT on table runtime\.accounts$/],
  },
  {
    title: 'a missing privilege by a pattern',
    sql: 'REVOKE SELECT ON runtime.sync_view FROM oa_spacetime_ro',
    lines: [/^missing: oa_spacetime_ro has SELECT on view runtime\.sync_view$/],
  },
  {
    title: 'a missing privilege by a name',
    sql: 'REVOKE SELECT ON runtime.spacetime_projection_checkpoints FROM oa_spacetime_ro',
    lines: [/^missing: oa_spacetime_ro has SELECT on table/],
  },
  {
    title: 'missing privileges on many objects',
    sql: 'REVOKE ALL ON ALL TABLES IN SCHEMA runtime FROM oa_runtime_rw',
    lines: [/^missing: oa_runtime_rw has SELECT, INSERT, UPDATE, DELETE on 8 tables in runtime$/],
  },
  {
    title: 'a missing privilege on a sequence',
    sql: 'REVOKE USAGE ON SEQUENCE runtime.sync_events_id_seq FROM oa_runtime_rw',
    lines: [/^missing: oa_runtime_rw has USAGE on sequence/],
  },
  {
    title: 'a missing privilege on a function',
    sql: 'REVOKE EXECUTE ON FUNCTION runtime.area(int) FROM oa_runtime_rw',
    lines: [/^missing: oa_runtime_rw has EXECUTE on function runtime\.area\(integer\)$/],
  },
  {
    title: 'a missing privilege on a procedure',
    sql: 'REVOKE EXECUTE ON PROCEDURE runtime.tidy(int, text[]) FROM oa_runtime_rw',
    lines: [/^missing: oa_runtime_rw has EXECUTE on procedure/],
  },
  {
    title: 'missing USAGE on the schema',
    sql: 'REVOKE USAGE ON SCHEMA runtime FROM oa_runtime_rw',
    lines: [/^missing: oa_runtime_rw has USAGE on schema runtime$/],
  },
  {
    title: 'a privilege on the columns instead of the table',
    sql: 'REVOKE SELECT ON runtime.accounts FROM oa_runtime_rw; GRANT SELECT (id, name, secret) ON runtime.accounts TO oa_runtime_rw',
    lines: [/^missing: oa_runtime_rw has SELECT on table runtime\.accounts$/],
    cleanup:
      'REVOKE SELECT (id, name, secret) ON runtime.accounts FROM oa_runtime_rw; GRANT SELECT ON runtime.accounts TO oa_runtime_rw',
  },
  {
    title: 'a table of the owner without the default privileges',
    sql: 'SET ROLE deploy; SET ROLE oa_runtime_owner; CREATE TABLE runtime.fresh (id int); REVOKE SELECT ON runtime.fresh FROM oa_runtime_rw; RESET ROLE',
    lines: [/^missing: oa_runtime_rw has SELECT on table runtime\.fresh$/],
    cleanup: 'DROP TABLE runtime.fresh',
  },
  {
    title: "an owner's privilege on its own table",
    sql: 'REVOKE INSERT ON runtime.accounts FROM oa_runtime_owner',
    lines: [/^missing: oa_runtime_owner has INSERT on table runtime\.accounts$/],
  },
  {
    title: "an owner's privilege on its own schema",
    sql: 'REVOKE CREATE ON SCHEMA runtime FROM oa_runtime_owner',
    lines: [/^missing: oa_runtime_owner has CREATE on schema runtime$/],
  },
  {
    title: 'a missing privilege that PUBLIC still gives',
    sql: 'GRANT SELECT ON runtime.accounts TO PUBLIC; REVOKE SELECT ON runtime.accounts FROM oa_runtime_rw',
    lines: [/^unexpected: PUBLIC has SELECT on table runtime\.accounts \(via PUBLIC\)$/],
  },
  {
    title: 'a missing privilege that a wrong membership still gives',
    sql: 'REVOKE SELECT ON ALL TABLES IN SCHEMA runtime FROM oa_spacetime_ro; GRANT oa_runtime_rw TO oa_spacetime_ro',
    lines: [
      /oa_spacetime_ro is a member of oa_runtime_rw/,
      /oa_spacetime_ro has INSERT.* \(via member of oa_runtime_rw\)/,
    ],
  },
  // PUBLIC.
  {
    title: 'a privilege of PUBLIC on a table',
    sql: 'GRANT SELECT ON runtime.accounts TO PUBLIC',
    lines: [/PUBLIC has SELECT on table runtime\.accounts \(via PUBLIC\)/],
  },
  {
    title: 'USAGE of PUBLIC on the schema',
    sql: 'GRANT USAGE ON SCHEMA control TO PUBLIC',
    lines: [/PUBLIC has USAGE on schema control/],
  },
  {
    title: 'a new function that PUBLIC may execute',
    sql: "SET ROLE oa_runtime_owner; CREATE FUNCTION runtime.fresh() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; RESET ROLE; GRANT EXECUTE ON FUNCTION runtime.fresh() TO oa_runtime_rw",
    lines: [/PUBLIC has EXECUTE on function runtime\.fresh\(\) \(via PUBLIC\)/],
    cleanup: 'DROP FUNCTION runtime.fresh()',
  },
  {
    title: 'a privilege of PUBLIC on a column',
    sql: 'GRANT SELECT (secret) ON runtime.accounts TO PUBLIC',
    lines: [/PUBLIC has SELECT \(secret\) on table runtime\.accounts/],
  },
  {
    title: 'a missing privilege of PUBLIC',
    sql: 'SELECT 1',
    policy: {
      ...policy,
      schemas: {
        ...policy.schemas,
        other: { grants: { PUBLIC: { schema: ['USAGE', 'CREATE'] }, oa_control_rw: { schema: ['USAGE'] } } },
        control: { grants: { ...policy.schemas?.control?.grants, PUBLIC: { schema: ['USAGE'] } } },
      },
    },
    lines: [/^missing: PUBLIC has USAGE on schema control$/],
    cleanup: 'REVOKE USAGE ON SCHEMA control FROM PUBLIC',
  },
  // Memberships.
  {
    title: 'a member',
    sql: 'GRANT oa_runtime_rw TO mallory',
    lines: [
      /mallory is a member of oa_runtime_rw/,
      /mallory has SELECT, INSERT, UPDATE, DELETE on 8 tables in runtime \(via member of oa_runtime_rw\)/,
    ],
  },
  {
    title: 'a member through three roles',
    sql: 'GRANT oa_runtime_rw TO team; GRANT team TO team2; GRANT team2 TO mallory',
    lines: [/mallory has .*\(via member of team2 → team → oa_runtime_rw\)/],
  },
  {
    title: 'a listed role as a member of another',
    sql: 'GRANT oa_runtime_rw TO oa_control_rw',
    lines: [/oa_control_rw is a member of oa_runtime_rw/],
  },
  {
    title: 'a member of a member that is not listed',
    sql: 'GRANT app TO mallory',
    lines: [/mallory is a member of oa_runtime_rw \(via member of app → oa_runtime_rw\)/],
  },
  {
    title: 'a member of a listed member',
    sql: 'GRANT deploy TO mallory',
    lines: [
      /mallory is a member of deploy/,
      /mallory is a member of oa_runtime_owner/,
      /mallory has .*\(via member of deploy → oa_runtime_owner, the owner\)/,
    ],
  },
  {
    title: 'a member that can only SET ROLE',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO mallory WITH INHERIT FALSE, SET TRUE',
    lines: [/mallory has SELECT.*via member of oa_runtime_rw by SET ROLE/],
  },
  {
    title: 'a member that does not inherit',
    sql: 'ALTER ROLE mallory NOINHERIT; GRANT oa_runtime_rw TO mallory',
    lines: [/mallory has SELECT.*via member of oa_runtime_rw by SET ROLE/],
    cleanup: 'ALTER ROLE mallory INHERIT',
  },
  {
    title: 'a member that can only inherit',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO mallory WITH INHERIT TRUE, SET FALSE',
    lines: [/mallory has SELECT.*via member of oa_runtime_rw\)/],
  },
  {
    title: 'a member with only the ADMIN option',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO mallory WITH ADMIN TRUE, INHERIT FALSE, SET FALSE',
    lines: [/mallory is a member of oa_runtime_rw/, /by its ADMIN option/],
  },
  {
    title: 'a member without options',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO mallory WITH INHERIT FALSE, SET FALSE',
    lines: [/mallory is a member of oa_runtime_rw/],
  },
  {
    title: 'an unlisted role with the ADMIN option on a role that it created',
    since: 16,
    sql: 'CREATE ROLE maker LOGIN CREATEROLE; GRANT oa_spacetime_ro TO maker WITH ADMIN TRUE, INHERIT FALSE, SET FALSE',
    lines: [
      /maker is a member of oa_spacetime_ro \(via member of oa_spacetime_ro by its ADMIN option\)/,
      /maker has SELECT on 6 tables in runtime \(via member of oa_spacetime_ro by its ADMIN option\)/,
    ],
    cleanup: 'DROP ROLE maker',
  },
  {
    title: 'a member of a trusted admin with the ADMIN option on a role that it created',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO platform_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE; GRANT platform_admin TO mallory',
    lines: [
      /mallory is a member of oa_runtime_rw \(via member of platform_admin → oa_runtime_rw by its ADMIN option\)/,
    ],
    cleanup: 'REVOKE oa_runtime_rw FROM platform_admin',
  },
  {
    title: 'an ADMIN option that is inherited',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO platform_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE; GRANT platform_admin TO mallory WITH INHERIT TRUE, SET FALSE',
    lines: [/mallory has SELECT.*\(via member of platform_admin → oa_runtime_rw by its ADMIN option\)/],
    cleanup: 'REVOKE oa_runtime_rw FROM platform_admin',
  },
  {
    title: "an ADMIN option on one of PostgreSQL's own roles",
    since: 16,
    sql: 'GRANT pg_read_all_data TO mallory WITH ADMIN TRUE, INHERIT FALSE, SET FALSE',
    lines: [/mallory has SELECT on 8 tables in runtime \(via member of pg_read_all_data by its ADMIN option\)/],
  },
  {
    title: 'a role creator that the policy makes a member of the created role',
    since: 16,
    policy: {
      ...policy,
      roles: {
        ...policy.roles,
        oa_spacetime_ro: { members: ['deploy'] },
        deploy: { login: true, createRole: true },
      },
    },
    sql: 'ALTER ROLE deploy CREATEROLE; GRANT oa_spacetime_ro TO deploy WITH ADMIN TRUE, INHERIT FALSE, SET FALSE',
    lines: [/^missing: deploy is a member of oa_spacetime_ro$/],
    cleanup: 'ALTER ROLE deploy NOCREATEROLE; REVOKE oa_spacetime_ro FROM deploy',
  },
  {
    title: 'CREATEROLE, with which any role can be joined',
    until: 15,
    sql: 'CREATE ROLE maker LOGIN CREATEROLE',
    lines: [
      /^unexpected: maker has every privilege on every object \(via CREATEROLE, which can join any role before PostgreSQL 16\)$/,
    ],
    cleanup: 'DROP ROLE maker',
  },
  {
    title: 'a member of a role with CREATEROLE',
    until: 15,
    sql: 'CREATE ROLE maker NOINHERIT CREATEROLE; GRANT maker TO team; ALTER ROLE team NOINHERIT; GRANT team TO mallory',
    lines: [
      /^unexpected: maker has every privilege.*\(via CREATEROLE, /,
      /^unexpected: mallory has every privilege on every object \(via member of team → maker.*, which has CREATEROLE\)$/,
    ],
    cleanup: 'REVOKE maker FROM team; DROP ROLE maker; REVOKE team FROM mallory; ALTER ROLE team INHERIT',
  },
  {
    title: 'a member of a trusted role with CREATEROLE',
    until: 15,
    sql: 'ALTER ROLE platform_admin CREATEROLE; GRANT platform_admin TO mallory',
    lines: [/^unexpected: mallory has every privilege.*\(via member of platform_admin, which has CREATEROLE\)$/],
    cleanup: 'ALTER ROLE platform_admin NOCREATEROLE',
  },
  {
    title: 'CREATEROLE that a listed role should have',
    sql: 'SELECT 1',
    policy: { ...policy, roles: { ...policy.roles, deploy: { login: true, createRole: true } } },
    lines: [/^changed: roles\.deploy\.createRole: expected true, actual false$/],
    cleanup: 'ALTER ROLE deploy NOCREATEROLE',
  },
  {
    title: "a listed member's ADMIN option",
    sql: 'GRANT oa_runtime_rw TO app WITH ADMIN OPTION',
    lines: [/app can grant membership in oa_runtime_rw/],
  },
  {
    title: 'members by grantors of their own',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO team WITH ADMIN OPTION; SET ROLE team; GRANT oa_runtime_rw TO mallory; RESET ROLE',
    lines: [/mallory is a member of oa_runtime_rw/, /team is a member of oa_runtime_rw/],
  },
  {
    title: 'a missing member',
    sql: 'REVOKE oa_runtime_rw FROM app',
    lines: [/^missing: app is a member of oa_runtime_rw$/],
  },
  {
    title: 'a member of the owner',
    sql: 'GRANT oa_runtime_owner TO oa_runtime_rw',
    lines: [/oa_runtime_rw has .*\(via member of oa_runtime_owner, the owner\)/],
  },
  {
    title: 'a group that holds a privilege',
    sql: 'GRANT SELECT ON runtime.accounts TO team; GRANT team TO mallory',
    lines: [
      /team has SELECT on table runtime\.accounts \(via direct grant\)/,
      /mallory has SELECT on table runtime\.accounts \(via member of team\)/,
    ],
    cleanup: 'REVOKE team FROM mallory',
  },
  {
    title: 'a member of a trusted role that holds privileges',
    sql: 'GRANT SELECT ON runtime.accounts TO platform_admin; GRANT platform_admin TO oa_control_rw',
    lines: [/oa_control_rw has SELECT on table runtime\.accounts \(via member of platform_admin\)/],
    cleanup: 'REVOKE ALL ON runtime.accounts FROM platform_admin',
  },
  {
    title: 'a member of a trusted role that is a member of a listed one',
    sql: 'GRANT oa_runtime_rw TO platform_admin; GRANT platform_admin TO mallory',
    lines: [/mallory is a member of oa_runtime_rw \(via member of platform_admin → oa_runtime_rw\)/],
    cleanup: 'REVOKE oa_runtime_rw FROM platform_admin',
  },
  {
    title: 'a member of a trusted superuser',
    sql: 'GRANT postgres TO mallory',
    lines: [/mallory has every privilege on every object \(via member of postgres, a superuser\)/],
  },
  {
    title: "a privilege of one of PostgreSQL's own roles that others use",
    sql: 'GRANT SELECT ON runtime.accounts TO pg_monitor; GRANT pg_monitor TO mallory',
    lines: [/mallory has SELECT on table runtime\.accounts \(via member of pg_monitor\)/],
    cleanup: 'REVOKE pg_monitor FROM mallory',
  },
  {
    title: "one of PostgreSQL's own roles as a member",
    sql: 'GRANT oa_runtime_rw TO pg_monitor',
    lines: [/pg_monitor is a member of oa_runtime_rw/],
  },
  {
    title: 'the owner of the database through pg_database_owner',
    sql: 'GRANT SELECT ON runtime.accounts TO pg_database_owner; ALTER DATABASE base OWNER TO mallory',
    lines: [/mallory has SELECT on table runtime\.accounts \(via member of pg_database_owner\)/],
    cleanup: 'ALTER DATABASE base OWNER TO postgres',
  },
  {
    title: 'the owner of the database as the owner of a schema and its objects',
    sql: 'ALTER SCHEMA control OWNER TO pg_database_owner; ALTER TABLE control.leases OWNER TO pg_database_owner; ALTER DATABASE base OWNER TO mallory',
    lines: [
      /mallory has USAGE.* on schema control \(via member of pg_database_owner, the owner\)/,
      /mallory has SELECT.* on table control\.leases \(via member of pg_database_owner, the owner\)/,
    ],
    cleanup: 'ALTER SCHEMA control OWNER TO postgres; ALTER TABLE control.leases OWNER TO postgres',
  },
  // Predefined roles, superusers, attributes.
  {
    title: 'pg_read_all_data',
    sql: 'GRANT pg_read_all_data TO mallory',
    lines: [
      /mallory has SELECT on 8 tables in runtime \(via member of pg_read_all_data\)/,
      /mallory has USAGE on schema control \(via member of pg_read_all_data\)/,
    ],
  },
  {
    title: 'pg_write_all_data',
    sql: 'GRANT pg_write_all_data TO oa_spacetime_ro',
    lines: [
      /oa_spacetime_ro has INSERT, UPDATE, DELETE on 8 tables in runtime/,
      /oa_spacetime_ro has UPDATE on 3 sequences in runtime/,
    ],
  },
  {
    title: 'pg_read_all_data through a group',
    sql: 'GRANT pg_read_all_data TO team; GRANT team TO mallory',
    lines: [/mallory has .*\(via member of team → pg_read_all_data\)/],
    cleanup: 'REVOKE team FROM mallory',
  },
  {
    title: 'pg_maintain',
    since: 17,
    sql: 'GRANT pg_maintain TO mallory',
    lines: [/mallory has MAINTAIN on 8 tables in runtime \(via member of pg_maintain\)/],
  },
  {
    title: 'pg_execute_server_program',
    sql: 'GRANT pg_execute_server_program TO mallory',
    lines: [/via member of pg_execute_server_program/],
  },
  {
    title: 'an unlisted superuser',
    sql: 'ALTER ROLE mallory SUPERUSER',
    lines: [/^unexpected: mallory has every privilege on every object \(via superuser\)$/],
  },
  {
    title: 'a listed superuser',
    sql: 'ALTER ROLE oa_runtime_rw SUPERUSER',
    lines: [/^changed: roles\.oa_runtime_rw\.superuser: expected false, actual true$/],
  },
  {
    title: 'other attributes',
    sql: 'ALTER ROLE oa_runtime_rw LOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS',
    lines: [
      /oa_runtime_rw\.login/,
      /oa_runtime_rw\.createRole/,
      /oa_runtime_rw\.createDb/,
      /oa_runtime_rw\.replication/,
      /oa_runtime_rw\.bypassRls/,
    ],
  },
  {
    title: 'a missing attribute',
    sql: 'ALTER ROLE deploy NOLOGIN',
    lines: [/^changed: roles\.deploy\.login: expected true, actual false$/],
  },
  {
    title: 'a missing role',
    sql: 'DROP OWNED BY oa_spacetime_ro; DROP ROLE oa_spacetime_ro',
    lines: [/^missing: role oa_spacetime_ro$/],
  },
  {
    title: 'a missing schema',
    sql: 'DROP SCHEMA control CASCADE',
    policy: {
      ...policy,
      schemas: { ...policy.schemas, control: { ...policy.schemas?.control, owner: 'oa_control_rw' } },
    },
    lines: [/^missing: schema control$/],
    cleanup:
      'DROP SCHEMA control; CREATE SCHEMA control; CREATE TABLE control.leases (id serial, holder text); GRANT USAGE ON SCHEMA control TO oa_control_rw; GRANT SELECT, INSERT, UPDATE, DELETE ON control.leases TO oa_control_rw; GRANT USAGE, SELECT ON SEQUENCE control.leases_id_seq TO oa_control_rw',
  },
  // Ownership.
  {
    title: 'a table of another owner',
    sql: 'CREATE TABLE runtime.stray (id serial); GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.stray TO oa_runtime_rw; GRANT USAGE, SELECT ON SEQUENCE runtime.stray_id_seq TO oa_runtime_rw',
    lines: [/schemas\.runtime\.owner: expected oa_runtime_owner, actual postgres owns table runtime\.stray/],
    cleanup: 'DROP TABLE runtime.stray',
  },
  {
    title: 'every kind of object of another owner',
    sql: 'ALTER TABLE runtime.sync_events OWNER TO mallory; ALTER VIEW runtime.sync_view OWNER TO mallory; ALTER MATERIALIZED VIEW runtime.sync_totals OWNER TO mallory; ALTER FOREIGN TABLE runtime.remote OWNER TO mallory; ALTER TABLE runtime.sync_topics OWNER TO mallory; ALTER SEQUENCE runtime.counter OWNER TO mallory; ALTER ROUTINE runtime.area(int) OWNER TO mallory; ALTER PROCEDURE runtime.tidy(int, text[]) OWNER TO mallory; ALTER AGGREGATE runtime.rank_of(VARIADIC "any" ORDER BY VARIADIC "any") OWNER TO mallory; ALTER SCHEMA runtime OWNER TO mallory',
    lines: [
      /mallory owns schema runtime/,
      /mallory owns 5 tables in runtime/,
      /mallory owns 3 sequences in runtime/,
      /mallory owns 3 functions in runtime/,
    ],
  },
  {
    title: 'a member of a wrong owner',
    sql: 'ALTER TABLE runtime.accounts OWNER TO team; GRANT team TO mallory',
    lines: [/team owns table runtime\.accounts/, /mallory has .*\(via member of team, the owner\)/],
    cleanup: 'REVOKE team FROM mallory',
  },
  {
    title: 'a member of the owner of a schema whose ownership is not judged',
    sql: 'ALTER TABLE control.leases OWNER TO team; GRANT team TO mallory; GRANT USAGE ON SCHEMA control TO team; GRANT SELECT ON control.leases TO mallory',
    lines: [/team has USAGE on schema control/, /mallory has .*control\.leases \(via member of team, the owner\)/],
    cleanup: 'ALTER TABLE control.leases OWNER TO postgres',
  },
  // Columns and grant options.
  {
    title: 'a privilege on columns',
    sql: 'GRANT SELECT (id, secret), UPDATE (secret) ON runtime.accounts TO oa_spacetime_ro',
    lines: [/oa_spacetime_ro has SELECT \(id\)/, /oa_spacetime_ro has SELECT, UPDATE \(secret\)/],
  },
  {
    title: 'a privilege on a column of a view',
    sql: 'GRANT SELECT (id) ON runtime.sync_view TO mallory',
    lines: [/mallory has SELECT \(id\) on view/],
  },
  {
    title: 'a privilege on a column by a grantor of its own',
    sql: 'GRANT USAGE ON SCHEMA runtime TO team; GRANT SELECT ON runtime.accounts TO team WITH GRANT OPTION; SET ROLE team; GRANT SELECT (secret) ON runtime.accounts TO mallory; RESET ROLE',
    lines: [/mallory has SELECT \(secret\)/],
  },
  {
    title: 'a grant option',
    sql: 'GRANT SELECT ON runtime.accounts TO oa_runtime_rw WITH GRANT OPTION',
    lines: [/oa_runtime_rw has grant option for SELECT on table runtime\.accounts/],
  },
  {
    title: 'a privilege with grant option',
    sql: 'GRANT SELECT ON runtime.accounts TO mallory WITH GRANT OPTION',
    lines: [/mallory has SELECT with grant option on table/],
  },
  {
    title: 'a grant option on a schema',
    sql: 'GRANT USAGE ON SCHEMA runtime TO oa_runtime_rw WITH GRANT OPTION',
    lines: [/oa_runtime_rw has grant option for USAGE on schema runtime/],
  },
  {
    title: 'a chain of grantors',
    sql: 'GRANT USAGE ON SCHEMA runtime TO team, team2; GRANT SELECT ON runtime.accounts TO team WITH GRANT OPTION; SET ROLE team; GRANT SELECT ON runtime.accounts TO team2 WITH GRANT OPTION; SET ROLE team2; GRANT SELECT ON runtime.accounts TO mallory; RESET ROLE',
    lines: [/mallory has SELECT on table runtime\.accounts/, /team2 has SELECT with grant option/],
  },
  {
    title: 'an expected privilege from a grantor that must not grant it',
    sql: 'REVOKE SELECT ON runtime.accounts FROM oa_runtime_rw; GRANT USAGE ON SCHEMA runtime TO team; GRANT SELECT ON runtime.accounts TO team WITH GRANT OPTION; SET ROLE team; GRANT SELECT ON runtime.accounts TO oa_runtime_rw; RESET ROLE',
    lines: [/team has SELECT with grant option/],
  },
  {
    title: 'a privilege from a trusted grantor, which keeps its own',
    sql: 'GRANT USAGE ON SCHEMA runtime TO platform_admin; GRANT SELECT ON runtime.accounts TO platform_admin WITH GRANT OPTION; SET ROLE platform_admin; GRANT SELECT ON runtime.accounts TO mallory; RESET ROLE',
    lines: [/mallory has SELECT on table runtime\.accounts/],
    cleanup: 'REVOKE ALL ON runtime.accounts FROM platform_admin; REVOKE ALL ON SCHEMA runtime FROM platform_admin',
  },
  // Default privileges.
  {
    title: 'a default privilege',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT SELECT ON TABLES TO oa_control_rw',
    lines: [
      /oa_control_rw has SELECT on tables that oa_runtime_owner will create in runtime \(via default privileges of oa_runtime_owner\)/,
    ],
  },
  {
    title: 'a default privilege of PUBLIC',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT SELECT ON TABLES TO PUBLIC',
    lines: [/PUBLIC has SELECT on tables that oa_runtime_owner will create/],
  },
  {
    title: 'a default privilege for another creator',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA runtime GRANT SELECT ON TABLES TO oa_control_rw',
    lines: [/oa_control_rw has SELECT on tables that postgres will create in runtime/],
  },
  {
    title: "the owner's default privilege in every schema",
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner GRANT SELECT ON TABLES TO mallory',
    lines: [/mallory has SELECT on tables that oa_runtime_owner will create in every schema/],
  },
  {
    title: 'a default privilege on sequences with grant option',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT USAGE ON SEQUENCES TO oa_runtime_rw WITH GRANT OPTION',
    lines: [/oa_runtime_rw has grant option for USAGE on sequences/],
  },
  {
    title: 'a default privilege on functions',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT EXECUTE ON FUNCTIONS TO mallory',
    lines: [/mallory has EXECUTE on functions/],
  },
  {
    title: 'a missing default privilege',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime REVOKE INSERT ON TABLES FROM oa_runtime_rw',
    lines: [/^missing: oa_runtime_rw has INSERT on tables that oa_runtime_owner will create in runtime$/],
  },
  {
    title: 'missing default privileges on sequences',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime REVOKE ALL ON SEQUENCES FROM oa_runtime_rw',
    lines: [/^missing: oa_runtime_rw has SELECT, USAGE on sequences/],
  },
  {
    title: 'a missing default privilege of the owner itself',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner REVOKE INSERT ON TABLES FROM oa_runtime_owner',
    lines: [/^missing: oa_runtime_owner has INSERT on tables that oa_runtime_owner will create in every schema$/],
  },
  // The database.
  {
    title: 'CREATE on the database',
    sql: 'GRANT CREATE ON DATABASE base TO oa_runtime_rw',
    lines: [/oa_runtime_rw has CREATE on database base/],
  },
  {
    title: 'CREATE on the database through a group',
    sql: 'GRANT CREATE ON DATABASE base TO team; GRANT team TO oa_control_rw',
    lines: [/oa_control_rw has CREATE on database base \(via member of team\)/],
    cleanup: 'REVOKE CREATE ON DATABASE base FROM team',
  },
  {
    title: 'a missing privilege on the database',
    sql: 'SELECT 1',
    policy: { ...policy, roles: { ...policy.roles, deploy: { login: true, database: ['CREATE'] } } },
    lines: [/^missing: deploy has CREATE on database base$/],
    cleanup: 'REVOKE CREATE ON DATABASE base FROM deploy',
  },
  {
    title: 'a listed role as the owner of the database',
    sql: 'ALTER DATABASE base OWNER TO oa_control_rw',
    lines: [/oa_control_rw has CREATE on database base \(via owner\)/],
  },
  // Doors outside the schemas.
  {
    title: 'a view in another schema that reads governed tables',
    sql: 'CREATE VIEW other.peek AS SELECT secret FROM runtime.accounts; ALTER VIEW other.peek OWNER TO oa_runtime_owner; GRANT SELECT ON other.peek TO PUBLIC',
    lines: [/PUBLIC has SELECT on view other\.peek, which reads runtime\.accounts as oa_runtime_owner/],
    cleanup: 'DROP VIEW other.peek',
  },
  {
    title: 'a view in another schema that reads governed tables through a view',
    sql: 'CREATE VIEW other.inner AS SELECT secret FROM runtime.accounts; CREATE VIEW other.outer AS SELECT * FROM other.inner; ALTER VIEW other.inner OWNER TO oa_runtime_owner; ALTER VIEW other.outer OWNER TO oa_runtime_owner; GRANT SELECT ON other.outer TO mallory',
    lines: [/mallory has SELECT on view other\.outer, which reads runtime\.accounts/],
    cleanup: 'DROP VIEW other.outer; DROP VIEW other.inner',
  },
  {
    title: 'columns of a view in another schema',
    sql: 'CREATE MATERIALIZED VIEW other.copied AS SELECT secret FROM runtime.accounts; ALTER MATERIALIZED VIEW other.copied OWNER TO oa_runtime_owner; GRANT SELECT (secret) ON other.copied TO mallory',
    lines: [/mallory has SELECT \(secret\) on materialized view other\.copied/],
    cleanup: 'DROP MATERIALIZED VIEW other.copied',
  },
  {
    title: 'a partitioned table in another schema with a governed partition',
    sql: "CREATE TABLE other.orders (id int, region text) PARTITION BY LIST (region); CREATE TABLE runtime.orders_eu PARTITION OF other.orders FOR VALUES IN ('eu'); ALTER TABLE other.orders OWNER TO oa_runtime_owner; ALTER TABLE runtime.orders_eu OWNER TO oa_runtime_owner; GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.orders_eu TO oa_runtime_rw; GRANT SELECT ON other.orders TO mallory; GRANT UPDATE ON other.orders TO oa_runtime_rw",
    lines: [/mallory has SELECT on partitioned table other\.orders, which contains the rows of runtime\.orders_eu/],
    cleanup: 'DROP TABLE other.orders',
  },
  {
    title: 'an inheritance parent of two levels in another schema, with a privilege on a column',
    sql: 'CREATE TABLE other.top (id int, note text); CREATE TABLE other.middle () INHERITS (other.top); CREATE TABLE runtime.bottom () INHERITS (other.middle); ALTER TABLE other.top OWNER TO oa_runtime_owner; ALTER TABLE runtime.bottom OWNER TO oa_runtime_owner; GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.bottom TO oa_runtime_rw; GRANT SELECT (note) ON other.top TO PUBLIC',
    lines: [/PUBLIC has SELECT \(note\) on table other\.top, which contains the rows of runtime\.bottom/],
    cleanup: 'DROP TABLE other.top CASCADE',
  },
  {
    title: 'a SECURITY DEFINER function in another schema',
    sql: "CREATE FUNCTION other.wipe() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM runtime.accounts'; ALTER FUNCTION other.wipe() OWNER TO oa_runtime_owner",
    lines: [/PUBLIC has EXECUTE on function other\.wipe\(\), which runs as oa_runtime_owner/],
    cleanup: 'DROP FUNCTION other.wipe()',
  },
  {
    title: 'a SECURITY DEFINER function in another schema, of a role that can only read',
    sql: "CREATE FUNCTION other.look() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM runtime.sync_events'; ALTER FUNCTION other.look() OWNER TO oa_spacetime_ro; REVOKE EXECUTE ON FUNCTION other.look() FROM PUBLIC; GRANT EXECUTE ON FUNCTION other.look() TO team; GRANT team TO mallory",
    lines: [/mallory has EXECUTE on function other\.look\(\).*via member of team/],
    cleanup: 'DROP FUNCTION other.look(); REVOKE team FROM mallory',
  },
  {
    title: 'a view in another schema that reads a parent there',
    sql: "CREATE TABLE other.orders (id int, region text) PARTITION BY LIST (region); CREATE TABLE runtime.orders_eu PARTITION OF other.orders FOR VALUES IN ('eu'); ALTER TABLE runtime.orders_eu OWNER TO oa_runtime_owner; GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.orders_eu TO oa_runtime_rw; GRANT SELECT ON other.orders TO oa_runtime_owner; CREATE VIEW other.peek AS SELECT id FROM other.orders; ALTER VIEW other.peek OWNER TO oa_runtime_owner; GRANT SELECT ON other.peek TO mallory, oa_runtime_rw",
    lines: [/^unexpected: mallory has SELECT on view other\.peek, which reads runtime\.orders_eu as oa_runtime_owner/],
    cleanup: 'DROP VIEW other.peek; DROP TABLE other.orders',
  },
  {
    title: 'a door of an unlisted member',
    sql: "CREATE PROCEDURE other.serve() LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; ALTER PROCEDURE other.serve() OWNER TO app; CREATE VIEW other.peek AS SELECT secret FROM runtime.accounts; ALTER VIEW other.peek OWNER TO app; GRANT SELECT ON other.peek TO mallory",
    lines: [
      /^unexpected: PUBLIC has EXECUTE on procedure other\.serve\(\), which runs as app \(via PUBLIC\)$/,
      /^unexpected: mallory has SELECT on view other\.peek, which reads runtime\.accounts as app/,
    ],
    cleanup: 'DROP PROCEDURE other.serve(); DROP VIEW other.peek',
  },
  // Hostile names.
  {
    title: 'names with quotes, spaces, dots, semicolons, line ends and 63 bytes',
    sql: `CREATE ROLE "x""; DROP TABLE runtime.accounts; --"; CREATE ROLE "ü.Ω 🦆 PUBLIC"; CREATE ROLE "PUBLIC"; CREATE ROLE "=arwd/postgres"; CREATE ROLE "${'n'.repeat(63)}"; SET ROLE oa_runtime_owner; CREATE TABLE runtime."sync_""; DROP SCHEMA control; --
 line" ("a ""b"", c;" int); CREATE FUNCTION runtime."f; (x"() RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET ROLE; GRANT SELECT ON runtime."sync_""; DROP SCHEMA control; --
 line" TO "x""; DROP TABLE runtime.accounts; --", "ü.Ω 🦆 PUBLIC", "PUBLIC", "=arwd/postgres", "${'n'.repeat(63)}"; GRANT SELECT ("a ""b"", c;") ON runtime."sync_""; DROP SCHEMA control; --
 line" TO "x""; DROP TABLE runtime.accounts; --"; GRANT oa_runtime_rw TO "ü.Ω 🦆 PUBLIC"`,
    lines: [
      /"x""; DROP TABLE runtime\.accounts; --" has SELECT on table runtime\."sync_""; DROP SCHEMA control; --\\n line"/,
      /"PUBLIC" has SELECT/,
      /"ü\.Ω 🦆 PUBLIC" is a member of oa_runtime_rw/,
      /"=arwd\/postgres" has SELECT/,
      /n{63} has SELECT/,
      /missing: oa_spacetime_ro has SELECT/,
      /^unexpected: PUBLIC has EXECUTE on function runtime\."f; \(x"\(\)/,
    ],
    cleanup: `DROP TABLE runtime."sync_""; DROP SCHEMA control; --
 line"; DROP FUNCTION runtime."f; (x"(); DROP ROLE "x""; DROP TABLE runtime.accounts; --", "ü.Ω 🦆 PUBLIC", "PUBLIC", "=arwd/postgres", "${'n'.repeat(63)}"`,
  },
  {
    title: 'a type with a hostile name among the arguments',
    sql: `CREATE TYPE other."t;) x" AS (a int); SET ROLE oa_runtime_owner; CREATE FUNCTION runtime.odd(v other."t;) x") RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET ROLE`,
    lines: [/PUBLIC has EXECUTE on function runtime\.odd/],
    cleanup: `DROP FUNCTION runtime.odd; DROP TYPE other."t;) x"`,
  },
  {
    title: 'a policy for one overload of a function',
    sql: 'SELECT 1',
    policy: withRuntime({
      grants: { ...policy.schemas?.runtime?.grants, oa_control_rw: { functions: { 'area(integer)': ['EXECUTE'] } } },
    }),
    lines: [/^missing: oa_control_rw has EXECUTE on function runtime\.area\(integer\)$/],
    cleanup: 'REVOKE EXECUTE ON FUNCTION runtime.area(int) FROM oa_control_rw',
  },
]

/** Changes that are not drift. */
export const benign: readonly {
  readonly title: string
  readonly sql: string
  readonly cleanup: string
  readonly since?: number
}[] = [
  {
    title: 'a new table of the owner under the right defaults',
    sql: 'SET ROLE oa_runtime_owner; CREATE TABLE runtime.fresh (id int GENERATED ALWAYS AS IDENTITY); RESET ROLE',
    cleanup: 'DROP TABLE runtime.fresh',
  },
  {
    title: 'a privilege granted twice',
    sql: 'GRANT SELECT (id) ON runtime.accounts TO oa_runtime_rw; GRANT SELECT ON runtime.accounts TO oa_runtime_rw',
    cleanup:
      'REVOKE SELECT (id) ON runtime.accounts FROM oa_runtime_rw; GRANT SELECT ON runtime.accounts TO oa_runtime_rw',
  },
  {
    title: 'a direct privilege that a listed member also has through its role',
    sql: 'GRANT SELECT ON runtime.accounts TO app',
    cleanup: 'REVOKE SELECT ON runtime.accounts FROM app',
  },
  {
    title: 'an index, a comment, statistics',
    sql: "CREATE INDEX fresh ON runtime.accounts (name); COMMENT ON TABLE runtime.accounts IS 'x'; ANALYZE runtime.accounts",
    cleanup: 'DROP INDEX runtime.fresh',
  },
  {
    title: 'an unrelated schema that is open to everybody',
    sql: "CREATE SCHEMA open; GRANT ALL ON SCHEMA open TO PUBLIC; CREATE TABLE open.t (id int); GRANT ALL ON open.t TO PUBLIC; CREATE FUNCTION open.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
    cleanup: 'DROP SCHEMA open CASCADE',
  },
  {
    title: 'an unrelated role with attributes',
    sql: 'CREATE ROLE neighbour LOGIN CREATEDB REPLICATION BYPASSRLS; GRANT pg_monitor, pg_signal_backend TO neighbour',
    cleanup: 'DROP ROLE neighbour',
  },
  {
    title: 'an unrelated role with CREATEROLE, and the roles that it created',
    since: 16,
    sql: 'CREATE ROLE neighbour LOGIN CREATEROLE; SET ROLE neighbour; CREATE ROLE made; GRANT made TO neighbour; RESET ROLE',
    cleanup: 'DROP ROLE made; DROP ROLE neighbour',
  },
  {
    title: 'an ADMIN option on a superuser, which only a superuser can use',
    since: 16,
    sql: 'GRANT postgres TO mallory WITH ADMIN TRUE, INHERIT FALSE, SET FALSE',
    cleanup: 'REVOKE postgres FROM mallory',
  },
  {
    title: 'trusted roles with privileges, attributes and memberships',
    sql: 'GRANT ALL ON ALL TABLES IN SCHEMA runtime TO platform_admin WITH GRANT OPTION; GRANT oa_runtime_owner, pg_read_all_data TO platform_admin; ALTER ROLE platform_admin SUPERUSER; ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT ALL ON TABLES TO platform_admin',
    cleanup:
      'ALTER ROLE platform_admin NOSUPERUSER; REVOKE oa_runtime_owner, pg_read_all_data FROM platform_admin; REVOKE ALL ON ALL TABLES IN SCHEMA runtime FROM platform_admin; ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime REVOKE ALL ON TABLES FROM platform_admin',
  },
  {
    title: 'a view of the caller’s own privileges',
    since: 15,
    sql: 'CREATE VIEW other.peek WITH (security_invoker = true) AS SELECT secret FROM runtime.accounts; ALTER VIEW other.peek OWNER TO oa_runtime_owner; GRANT SELECT ON other.peek TO PUBLIC',
    cleanup: 'DROP VIEW other.peek',
  },
  {
    title: 'a view in another schema for roles that can read its tables',
    sql: 'CREATE VIEW other.peek AS SELECT topic FROM runtime.sync_events; ALTER VIEW other.peek OWNER TO oa_runtime_owner; GRANT SELECT ON other.peek TO oa_spacetime_ro, oa_runtime_rw',
    cleanup: 'DROP VIEW other.peek',
  },
  {
    title: 'a parent in another schema for roles that can read its partition, and one of an unlisted role',
    sql: "CREATE TABLE other.orders (id int, region text) PARTITION BY LIST (region); CREATE TABLE runtime.sync_eu PARTITION OF other.orders FOR VALUES IN ('eu'); ALTER TABLE other.orders OWNER TO oa_runtime_owner; ALTER TABLE runtime.sync_eu OWNER TO oa_runtime_owner; GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.sync_eu TO oa_runtime_rw; GRANT SELECT ON runtime.sync_eu TO oa_spacetime_ro; GRANT SELECT ON other.orders TO oa_spacetime_ro; CREATE INDEX ON other.orders (id); CREATE TABLE other.apart (id int); CREATE TABLE other.below () INHERITS (other.apart); GRANT SELECT ON other.apart TO PUBLIC",
    cleanup: 'DROP TABLE other.orders; DROP TABLE other.apart CASCADE',
  },
  {
    title: 'functions in another schema that run as their caller, or as a role without privileges',
    sql: "CREATE FUNCTION other.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION other.f() OWNER TO oa_runtime_owner",
    cleanup: 'DROP FUNCTION other.f()',
  },
  {
    title: 'built-in defaults granted explicitly',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner GRANT SELECT ON TABLES TO oa_runtime_rw',
    cleanup:
      'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner REVOKE SELECT ON TABLES FROM oa_runtime_rw',
  },
  {
    title: 'default privileges in other schemas and of other roles',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA other GRANT ALL ON TABLES TO PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE mallory GRANT ALL ON TABLES TO PUBLIC',
    cleanup:
      'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA other REVOKE ALL ON TABLES FROM PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE mallory REVOKE ALL ON TABLES FROM PUBLIC',
  },
  {
    title: 'a door of a member for roles with the same privileges',
    sql: "CREATE FUNCTION other.serve() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION other.serve() FROM PUBLIC; ALTER FUNCTION other.serve() OWNER TO app; GRANT EXECUTE ON FUNCTION other.serve() TO oa_runtime_rw",
    cleanup: 'DROP FUNCTION other.serve()',
  },
  {
    title: 'default privileges of the owner for roles that can act as it',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT TRUNCATE ON TABLES TO deploy; ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner GRANT SELECT ON SEQUENCES TO deploy',
    cleanup:
      'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime REVOKE TRUNCATE ON TABLES FROM deploy; ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner REVOKE SELECT ON SEQUENCES FROM deploy',
  },
  {
    title: 'types and domains',
    sql: "SET ROLE oa_runtime_owner; CREATE TYPE runtime.mood AS ENUM ('ok'); CREATE DOMAIN runtime.positive AS int; RESET ROLE; GRANT USAGE ON TYPE runtime.mood TO mallory",
    cleanup: 'DROP TYPE runtime.mood; DROP DOMAIN runtime.positive',
  },
  {
    title: 'a range type with its constructors',
    sql: 'SET ROLE oa_runtime_owner; CREATE TYPE runtime.span AS RANGE (subtype = int); CREATE TYPE runtime.reach AS RANGE (subtype = text, multirange_type_name = runtime.reaches); RESET ROLE',
    cleanup: 'DROP TYPE runtime.span; DROP TYPE runtime.reach',
  },
]
