import type { GrantsPolicy } from '../../src/grants/model/policy.ts'
import { policy } from './grants-world.ts'

/** One way to make a database drift, what must be told of it, and how to clear away what is no drift. */
export interface Drift {
  readonly title: string
  readonly sql: string
  /** Each must be found among the differences. */
  readonly told: readonly RegExp[]
  readonly cleanup?: string
  /** The oldest server that knows it. */
  readonly since?: number
  /** The newest. */
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
    title: 'a right on a table',
    sql: 'GRANT SELECT ON runtime.accounts TO mallory',
    told: [/^unexpected: mallory: SELECT on table runtime\.accounts \(via direct grant\)$/],
  },
  {
    title: 'a right of a listed role beyond its own',
    sql: 'GRANT INSERT ON runtime.sync_events TO oa_spacetime_ro',
    told: [/oa_spacetime_ro: INSERT on table runtime\.sync_events/],
  },
  {
    title: 'a right on a table outside the pattern',
    sql: 'GRANT SELECT ON runtime.accounts TO oa_spacetime_ro',
    told: [/oa_spacetime_ro: SELECT on table runtime\.accounts/],
  },
  {
    title: 'every right on a table',
    sql: 'GRANT ALL ON runtime.accounts TO mallory',
    told: [/mallory: SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER.* on table/],
  },
  {
    title: 'MAINTAIN',
    since: 17,
    sql: 'GRANT MAINTAIN ON runtime.accounts TO oa_runtime_rw',
    told: [/oa_runtime_rw: MAINTAIN on table/],
  },
  {
    title: 'TRUNCATE',
    sql: 'GRANT TRUNCATE ON runtime.accounts TO oa_runtime_rw',
    told: [/oa_runtime_rw: TRUNCATE on table/],
  },
  {
    title: 'a right on a partition',
    sql: 'GRANT SELECT ON runtime.sync_topics_p0 TO mallory',
    told: [/mallory: SELECT on table runtime\.sync_topics_p0/],
  },
  {
    title: 'a right on a partitioned table',
    sql: 'GRANT SELECT ON runtime.sync_topics TO mallory',
    told: [/mallory: SELECT on partitioned table runtime\.sync_topics/],
  },
  {
    title: 'a right on a view',
    sql: 'GRANT SELECT ON runtime.sync_view TO oa_control_rw',
    told: [/oa_control_rw: SELECT on view runtime\.sync_view/],
  },
  {
    title: 'a right on a materialized view',
    sql: 'GRANT SELECT ON runtime.sync_totals TO mallory',
    told: [/mallory: SELECT on materialized view/],
  },
  {
    title: 'a right on a foreign table',
    sql: 'GRANT SELECT ON runtime.remote TO mallory',
    told: [/mallory: SELECT on foreign table/],
  },
  {
    title: 'a right on a sequence',
    sql: 'GRANT UPDATE ON SEQUENCE runtime.counter TO oa_runtime_rw',
    told: [/oa_runtime_rw: UPDATE on sequence runtime\.counter/],
  },
  {
    title: 'a right on a function',
    sql: 'GRANT EXECUTE ON FUNCTION runtime.area(int, int) TO mallory',
    told: [/mallory: EXECUTE on function runtime\.area\(integer, integer\)/],
  },
  {
    title: 'a right on a SECURITY DEFINER function',
    sql: 'GRANT EXECUTE ON FUNCTION runtime.area(int) TO oa_spacetime_ro',
    told: [/oa_spacetime_ro: EXECUTE on function runtime\.area\(integer\)/],
  },
  {
    title: 'a right on a procedure',
    sql: 'GRANT EXECUTE ON PROCEDURE runtime.tidy(int, text[]) TO mallory',
    told: [/mallory: EXECUTE on procedure runtime\.tidy/],
  },
  {
    title: 'a right on an aggregate',
    sql: 'GRANT EXECUTE ON FUNCTION runtime.total(int) TO mallory',
    told: [/mallory: EXECUTE on aggregate runtime\.total\(integer\)/],
  },
  {
    title: 'a right on an ordered-set aggregate',
    sql: 'GRANT EXECUTE ON ALL ROUTINES IN SCHEMA runtime TO mallory',
    told: [/mallory: EXECUTE on 5 functions in runtime/],
  },
  {
    title: 'USAGE on the schema',
    sql: 'GRANT USAGE ON SCHEMA runtime TO oa_control_rw',
    told: [/oa_control_rw: USAGE on schema runtime/],
  },
  {
    title: 'CREATE on the schema',
    sql: 'GRANT CREATE ON SCHEMA runtime TO oa_runtime_rw',
    told: [/oa_runtime_rw: CREATE on schema runtime/],
  },
  {
    title: 'a right without USAGE on the schema',
    sql: 'GRANT SELECT ON control.leases TO mallory',
    told: [/mallory: SELECT on table control\.leases/],
  },
  {
    title: 'equal rights on many objects',
    sql: 'GRANT SELECT ON ALL TABLES IN SCHEMA runtime TO mallory',
    told: [/^unexpected: mallory: SELECT on 8 tables in runtime/],
  },
  // Missing.
  {
    title: 'a missing right on a table',
    sql: 'REVOKE SELECT ON runtime.accounts FROM oa_runtime_rw',
    told: [/^missing: oa_runtime_rw: SELECT on table runtime\.accounts$/],
  },
  {
    title: 'a missing right by a pattern',
    sql: 'REVOKE SELECT ON runtime.sync_view FROM oa_spacetime_ro',
    told: [/^missing: oa_spacetime_ro: SELECT on view runtime\.sync_view$/],
  },
  {
    title: 'a missing right by a name',
    sql: 'REVOKE SELECT ON runtime.spacetime_projection_checkpoints FROM oa_spacetime_ro',
    told: [/^missing: oa_spacetime_ro: SELECT on table/],
  },
  {
    title: 'missing rights on many objects',
    sql: 'REVOKE ALL ON ALL TABLES IN SCHEMA runtime FROM oa_runtime_rw',
    told: [/^missing: oa_runtime_rw: SELECT, INSERT, UPDATE, DELETE on 8 tables in runtime$/],
  },
  {
    title: 'a missing right on a sequence',
    sql: 'REVOKE USAGE ON SEQUENCE runtime.sync_events_id_seq FROM oa_runtime_rw',
    told: [/^missing: oa_runtime_rw: USAGE on sequence/],
  },
  {
    title: 'a missing right on a function',
    sql: 'REVOKE EXECUTE ON FUNCTION runtime.area(int) FROM oa_runtime_rw',
    told: [/^missing: oa_runtime_rw: EXECUTE on function runtime\.area\(integer\)$/],
  },
  {
    title: 'a missing right on a procedure',
    sql: 'REVOKE EXECUTE ON PROCEDURE runtime.tidy(int, text[]) FROM oa_runtime_rw',
    told: [/^missing: oa_runtime_rw: EXECUTE on procedure/],
  },
  {
    title: 'missing USAGE on the schema',
    sql: 'REVOKE USAGE ON SCHEMA runtime FROM oa_runtime_rw',
    told: [/^missing: oa_runtime_rw: USAGE on schema runtime$/],
  },
  {
    title: 'a right on the columns instead of the table',
    sql: 'REVOKE SELECT ON runtime.accounts FROM oa_runtime_rw; GRANT SELECT (id, name, secret) ON runtime.accounts TO oa_runtime_rw',
    told: [/^missing: oa_runtime_rw: SELECT on table runtime\.accounts$/],
    cleanup:
      'REVOKE SELECT (id, name, secret) ON runtime.accounts FROM oa_runtime_rw; GRANT SELECT ON runtime.accounts TO oa_runtime_rw',
  },
  {
    title: 'a table of the owner without the default privileges',
    sql: 'SET ROLE deploy; SET ROLE oa_runtime_owner; CREATE TABLE runtime.fresh (id int); REVOKE SELECT ON runtime.fresh FROM oa_runtime_rw; RESET ROLE',
    told: [/^missing: oa_runtime_rw: SELECT on table runtime\.fresh$/],
    cleanup: 'DROP TABLE runtime.fresh',
  },
  {
    title: "an owner's right on its own table",
    sql: 'REVOKE INSERT ON runtime.accounts FROM oa_runtime_owner',
    told: [/^missing: oa_runtime_owner: INSERT on table runtime\.accounts$/],
  },
  {
    title: "an owner's right on its own schema",
    sql: 'REVOKE CREATE ON SCHEMA runtime FROM oa_runtime_owner',
    told: [/^missing: oa_runtime_owner: CREATE on schema runtime$/],
  },
  {
    title: 'a right that only PUBLIC still gives',
    sql: 'GRANT SELECT ON runtime.accounts TO PUBLIC; REVOKE SELECT ON runtime.accounts FROM oa_runtime_rw',
    told: [/^unexpected: PUBLIC: SELECT on table runtime\.accounts \(via PUBLIC\)$/],
  },
  {
    title: 'a right that only a wrong membership still gives',
    sql: 'REVOKE SELECT ON ALL TABLES IN SCHEMA runtime FROM oa_spacetime_ro; GRANT oa_runtime_rw TO oa_spacetime_ro',
    told: [/oa_spacetime_ro is a member of oa_runtime_rw/, /oa_spacetime_ro: INSERT.* \(via member of oa_runtime_rw\)/],
  },
  // PUBLIC.
  {
    title: 'a right of PUBLIC on a table',
    sql: 'GRANT SELECT ON runtime.accounts TO PUBLIC',
    told: [/PUBLIC: SELECT on table runtime\.accounts \(via PUBLIC\)/],
  },
  {
    title: 'USAGE of PUBLIC on the schema',
    sql: 'GRANT USAGE ON SCHEMA control TO PUBLIC',
    told: [/PUBLIC: USAGE on schema control/],
  },
  {
    title: 'a new function that PUBLIC may execute',
    sql: "SET ROLE oa_runtime_owner; CREATE FUNCTION runtime.fresh() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; RESET ROLE; GRANT EXECUTE ON FUNCTION runtime.fresh() TO oa_runtime_rw",
    told: [/PUBLIC: EXECUTE on function runtime\.fresh\(\) \(via PUBLIC\)/],
    cleanup: 'DROP FUNCTION runtime.fresh()',
  },
  {
    title: 'a right of PUBLIC on a column',
    sql: 'GRANT SELECT (secret) ON runtime.accounts TO PUBLIC',
    told: [/PUBLIC: SELECT \(secret\) on table runtime\.accounts/],
  },
  {
    title: 'a missing right of PUBLIC',
    sql: 'SELECT 1',
    policy: {
      ...policy,
      schemas: {
        ...policy.schemas,
        other: { grants: { PUBLIC: { schema: ['USAGE', 'CREATE'] }, oa_control_rw: { schema: ['USAGE'] } } },
        control: { grants: { ...policy.schemas?.control?.grants, PUBLIC: { schema: ['USAGE'] } } },
      },
    },
    told: [/^missing: PUBLIC: USAGE on schema control$/],
    cleanup: 'REVOKE USAGE ON SCHEMA control FROM PUBLIC',
  },
  // Memberships.
  {
    title: 'a member',
    sql: 'GRANT oa_runtime_rw TO mallory',
    told: [
      /mallory is a member of oa_runtime_rw/,
      /mallory: SELECT, INSERT, UPDATE, DELETE on 8 tables in runtime \(via member of oa_runtime_rw\)/,
    ],
  },
  {
    title: 'a member over three hops',
    sql: 'GRANT oa_runtime_rw TO team; GRANT team TO team2; GRANT team2 TO mallory',
    told: [/mallory: .*\(via member of team2 → team → oa_runtime_rw\)/],
  },
  {
    title: 'a listed role as a member of another',
    sql: 'GRANT oa_runtime_rw TO oa_control_rw',
    told: [/oa_control_rw is a member of oa_runtime_rw/],
  },
  {
    title: 'a member of a member that is not listed',
    sql: 'GRANT app TO mallory',
    told: [/mallory is a member of oa_runtime_rw \(via member of app → oa_runtime_rw\)/],
  },
  {
    title: 'a member of a listed member',
    sql: 'GRANT deploy TO mallory',
    told: [
      /mallory is a member of deploy/,
      /mallory is a member of oa_runtime_owner/,
      /mallory: .*\(via member of deploy → oa_runtime_owner, the owner\)/,
    ],
  },
  {
    title: 'a member that can only SET ROLE',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO mallory WITH INHERIT FALSE, SET TRUE',
    told: [/mallory: SELECT.*via member of oa_runtime_rw by SET ROLE/],
  },
  {
    title: 'a member that does not inherit',
    sql: 'ALTER ROLE mallory NOINHERIT; GRANT oa_runtime_rw TO mallory',
    told: [/mallory: SELECT.*via member of oa_runtime_rw by SET ROLE/],
    cleanup: 'ALTER ROLE mallory INHERIT',
  },
  {
    title: 'a member that can only inherit',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO mallory WITH INHERIT TRUE, SET FALSE',
    told: [/mallory: SELECT.*via member of oa_runtime_rw\)/],
  },
  {
    title: 'a member that can only make members',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO mallory WITH ADMIN TRUE, INHERIT FALSE, SET FALSE',
    told: [/mallory is a member of oa_runtime_rw/, /by its ADMIN option/],
  },
  {
    title: 'a member that can do nothing yet',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO mallory WITH INHERIT FALSE, SET FALSE',
    told: [/mallory is a member of oa_runtime_rw/],
  },
  {
    title: 'an unlisted role that administers what it made',
    since: 16,
    sql: 'CREATE ROLE maker LOGIN CREATEROLE; GRANT oa_spacetime_ro TO maker WITH ADMIN TRUE, INHERIT FALSE, SET FALSE',
    told: [
      /maker is a member of oa_spacetime_ro \(via member of oa_spacetime_ro by its ADMIN option\)/,
      /maker: SELECT on 6 tables in runtime \(via member of oa_spacetime_ro by its ADMIN option\)/,
    ],
    cleanup: 'DROP ROLE maker',
  },
  {
    title: 'a member of a trusted admin that administers what it made',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO platform_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE; GRANT platform_admin TO mallory',
    told: [/mallory is a member of oa_runtime_rw \(via member of platform_admin → oa_runtime_rw by its ADMIN option\)/],
    cleanup: 'REVOKE oa_runtime_rw FROM platform_admin',
  },
  {
    title: 'an ADMIN option that is inherited',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO platform_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE; GRANT platform_admin TO mallory WITH INHERIT TRUE, SET FALSE',
    told: [/mallory: SELECT.*\(via member of platform_admin → oa_runtime_rw by its ADMIN option\)/],
    cleanup: 'REVOKE oa_runtime_rw FROM platform_admin',
  },
  {
    title: "an ADMIN option on one of PostgreSQL's own roles",
    since: 16,
    sql: 'GRANT pg_read_all_data TO mallory WITH ADMIN TRUE, INHERIT FALSE, SET FALSE',
    told: [/mallory: SELECT on 8 tables in runtime \(via member of pg_read_all_data by its ADMIN option\)/],
  },
  {
    title: 'a creator that is to be a member of what it made',
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
    told: [/^missing: deploy is a member of oa_spacetime_ro$/],
    cleanup: 'ALTER ROLE deploy NOCREATEROLE; REVOKE oa_spacetime_ro FROM deploy',
  },
  {
    title: 'CREATEROLE, with which any role can be joined',
    until: 15,
    sql: 'CREATE ROLE maker LOGIN CREATEROLE',
    told: [
      /^unexpected: maker: every privilege on every object \(via CREATEROLE, which can join any role before PostgreSQL 16\)$/,
    ],
    cleanup: 'DROP ROLE maker',
  },
  {
    title: 'a member of a role with CREATEROLE',
    until: 15,
    sql: 'CREATE ROLE maker NOINHERIT CREATEROLE; GRANT maker TO team; ALTER ROLE team NOINHERIT; GRANT team TO mallory',
    told: [
      /^unexpected: maker: every privilege.*\(via CREATEROLE, /,
      /^unexpected: mallory: every privilege on every object \(via member of team → maker.*, which has CREATEROLE\)$/,
    ],
    cleanup: 'REVOKE maker FROM team; DROP ROLE maker; REVOKE team FROM mallory; ALTER ROLE team INHERIT',
  },
  {
    title: 'a member of a trusted role with CREATEROLE',
    until: 15,
    sql: 'ALTER ROLE platform_admin CREATEROLE; GRANT platform_admin TO mallory',
    told: [/^unexpected: mallory: every privilege.*\(via member of platform_admin, which has CREATEROLE\)$/],
    cleanup: 'ALTER ROLE platform_admin NOCREATEROLE',
  },
  {
    title: 'CREATEROLE that a listed role should have',
    sql: 'SELECT 1',
    policy: { ...policy, roles: { ...policy.roles, deploy: { login: true, createRole: true } } },
    told: [/^roles\.deploy\.createRole: expected true, actual false$/],
    cleanup: 'ALTER ROLE deploy NOCREATEROLE',
  },
  {
    title: "a listed member's ADMIN option",
    sql: 'GRANT oa_runtime_rw TO app WITH ADMIN OPTION',
    told: [/app may make others members of oa_runtime_rw/],
  },
  {
    title: 'members by grantors of their own',
    since: 16,
    sql: 'GRANT oa_runtime_rw TO team WITH ADMIN OPTION; SET ROLE team; GRANT oa_runtime_rw TO mallory; RESET ROLE',
    told: [/mallory is a member of oa_runtime_rw/, /team is a member of oa_runtime_rw/],
  },
  {
    title: 'a missing member',
    sql: 'REVOKE oa_runtime_rw FROM app',
    told: [/^missing: app is a member of oa_runtime_rw$/],
  },
  {
    title: 'a member of the owner',
    sql: 'GRANT oa_runtime_owner TO oa_runtime_rw',
    told: [/oa_runtime_rw: .*\(via member of oa_runtime_owner, the owner\)/],
  },
  {
    title: 'a group that holds a right',
    sql: 'GRANT SELECT ON runtime.accounts TO team; GRANT team TO mallory',
    told: [
      /team: SELECT on table runtime\.accounts \(via direct grant\)/,
      /mallory: SELECT on table runtime\.accounts \(via member of team\)/,
    ],
    cleanup: 'REVOKE team FROM mallory',
  },
  {
    title: 'a member of a trusted role that holds rights',
    sql: 'GRANT SELECT ON runtime.accounts TO platform_admin; GRANT platform_admin TO oa_control_rw',
    told: [/oa_control_rw: SELECT on table runtime\.accounts \(via member of platform_admin\)/],
    cleanup: 'REVOKE ALL ON runtime.accounts FROM platform_admin',
  },
  {
    title: 'a member of a trusted role that is a member of a listed one',
    sql: 'GRANT oa_runtime_rw TO platform_admin; GRANT platform_admin TO mallory',
    told: [/mallory is a member of oa_runtime_rw \(via member of platform_admin → oa_runtime_rw\)/],
    cleanup: 'REVOKE oa_runtime_rw FROM platform_admin',
  },
  {
    title: 'a member of a trusted superuser',
    sql: 'GRANT postgres TO mallory',
    told: [/mallory: every privilege on every object \(via member of postgres, a superuser\)/],
  },
  {
    title: "a right of one of PostgreSQL's own roles that others use",
    sql: 'GRANT SELECT ON runtime.accounts TO pg_monitor; GRANT pg_monitor TO mallory',
    told: [/mallory: SELECT on table runtime\.accounts \(via member of pg_monitor\)/],
    cleanup: 'REVOKE pg_monitor FROM mallory',
  },
  {
    title: "one of PostgreSQL's own roles as a member",
    sql: 'GRANT oa_runtime_rw TO pg_monitor',
    told: [/pg_monitor is a member of oa_runtime_rw/],
  },
  {
    title: 'the owner of the database through pg_database_owner',
    sql: 'GRANT SELECT ON runtime.accounts TO pg_database_owner; ALTER DATABASE base OWNER TO mallory',
    told: [/mallory: SELECT on table runtime\.accounts \(via member of pg_database_owner\)/],
    cleanup: 'ALTER DATABASE base OWNER TO postgres',
  },
  {
    title: 'the owner of the database as the owner of a schema, and of what is in it',
    sql: 'ALTER SCHEMA control OWNER TO pg_database_owner; ALTER TABLE control.leases OWNER TO pg_database_owner; ALTER DATABASE base OWNER TO mallory',
    told: [
      /mallory: USAGE.* on schema control \(via member of pg_database_owner, the owner\)/,
      /mallory: SELECT.* on table control\.leases \(via member of pg_database_owner, the owner\)/,
    ],
    cleanup: 'ALTER SCHEMA control OWNER TO postgres; ALTER TABLE control.leases OWNER TO postgres',
  },
  // Predefined roles, superusers, attributes.
  {
    title: 'pg_read_all_data',
    sql: 'GRANT pg_read_all_data TO mallory',
    told: [
      /mallory: SELECT on 8 tables in runtime \(via member of pg_read_all_data\)/,
      /mallory: USAGE on schema control \(via member of pg_read_all_data\)/,
    ],
  },
  {
    title: 'pg_write_all_data',
    sql: 'GRANT pg_write_all_data TO oa_spacetime_ro',
    told: [
      /oa_spacetime_ro: INSERT, UPDATE, DELETE on 8 tables in runtime/,
      /oa_spacetime_ro: UPDATE on 3 sequences in runtime/,
    ],
  },
  {
    title: 'pg_read_all_data through a group',
    sql: 'GRANT pg_read_all_data TO team; GRANT team TO mallory',
    told: [/mallory: .*\(via member of team → pg_read_all_data\)/],
    cleanup: 'REVOKE team FROM mallory',
  },
  {
    title: 'pg_maintain',
    since: 17,
    sql: 'GRANT pg_maintain TO mallory',
    told: [/mallory: MAINTAIN on 8 tables in runtime \(via member of pg_maintain\)/],
  },
  {
    title: 'pg_execute_server_program',
    sql: 'GRANT pg_execute_server_program TO mallory',
    told: [/via member of pg_execute_server_program/],
  },
  {
    title: 'an unlisted superuser',
    sql: 'ALTER ROLE mallory SUPERUSER',
    told: [/^unexpected: mallory: every privilege on every object \(via superuser\)$/],
  },
  {
    title: 'a listed superuser',
    sql: 'ALTER ROLE oa_runtime_rw SUPERUSER',
    told: [/^roles\.oa_runtime_rw\.superuser: expected false, actual true$/],
  },
  {
    title: 'other attributes',
    sql: 'ALTER ROLE oa_runtime_rw LOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS',
    told: [
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
    told: [/^roles\.deploy\.login: expected true, actual false$/],
  },
  {
    title: 'a missing role',
    sql: 'DROP OWNED BY oa_spacetime_ro; DROP ROLE oa_spacetime_ro',
    told: [/^missing: role oa_spacetime_ro$/],
  },
  {
    title: 'a missing schema',
    sql: 'DROP SCHEMA control CASCADE',
    policy: {
      ...policy,
      schemas: { ...policy.schemas, control: { ...policy.schemas?.control, owner: 'oa_control_rw' } },
    },
    told: [/^missing: schema control$/],
    cleanup:
      'DROP SCHEMA control; CREATE SCHEMA control; CREATE TABLE control.leases (id serial, holder text); GRANT USAGE ON SCHEMA control TO oa_control_rw; GRANT SELECT, INSERT, UPDATE, DELETE ON control.leases TO oa_control_rw; GRANT USAGE, SELECT ON SEQUENCE control.leases_id_seq TO oa_control_rw',
  },
  // Ownership.
  {
    title: 'a table of another owner',
    sql: 'CREATE TABLE runtime.stray (id serial); GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.stray TO oa_runtime_rw; GRANT USAGE, SELECT ON SEQUENCE runtime.stray_id_seq TO oa_runtime_rw',
    told: [/schemas\.runtime\.owner: expected oa_runtime_owner, actual postgres owns table runtime\.stray/],
    cleanup: 'DROP TABLE runtime.stray',
  },
  {
    title: 'every kind of object of another owner',
    sql: 'ALTER TABLE runtime.sync_events OWNER TO mallory; ALTER VIEW runtime.sync_view OWNER TO mallory; ALTER MATERIALIZED VIEW runtime.sync_totals OWNER TO mallory; ALTER FOREIGN TABLE runtime.remote OWNER TO mallory; ALTER TABLE runtime.sync_topics OWNER TO mallory; ALTER SEQUENCE runtime.counter OWNER TO mallory; ALTER ROUTINE runtime.area(int) OWNER TO mallory; ALTER PROCEDURE runtime.tidy(int, text[]) OWNER TO mallory; ALTER AGGREGATE runtime.rank_of(VARIADIC "any" ORDER BY VARIADIC "any") OWNER TO mallory; ALTER SCHEMA runtime OWNER TO mallory',
    told: [
      /mallory owns schema runtime/,
      /mallory owns 5 tables in runtime/,
      /mallory owns 3 sequences in runtime/,
      /mallory owns 3 functions in runtime/,
    ],
  },
  {
    title: 'a member of a wrong owner',
    sql: 'ALTER TABLE runtime.accounts OWNER TO team; GRANT team TO mallory',
    told: [/team owns table runtime\.accounts/, /mallory: .*\(via member of team, the owner\)/],
    cleanup: 'REVOKE team FROM mallory',
  },
  {
    title: 'a member of the owner of a schema whose ownership is not judged',
    sql: 'ALTER TABLE control.leases OWNER TO team; GRANT team TO mallory; GRANT USAGE ON SCHEMA control TO team; GRANT SELECT ON control.leases TO mallory',
    told: [/team: USAGE on schema control/, /mallory: .*control\.leases \(via member of team, the owner\)/],
    cleanup: 'ALTER TABLE control.leases OWNER TO postgres',
  },
  // Columns and grant options.
  {
    title: 'a right on columns',
    sql: 'GRANT SELECT (id, secret), UPDATE (secret) ON runtime.accounts TO oa_spacetime_ro',
    told: [/oa_spacetime_ro: SELECT \(id\)/, /oa_spacetime_ro: SELECT, UPDATE \(secret\)/],
  },
  {
    title: 'a right on a column of a view',
    sql: 'GRANT SELECT (id) ON runtime.sync_view TO mallory',
    told: [/mallory: SELECT \(id\) on view/],
  },
  {
    title: 'a right on a column by a grantor of its own',
    sql: 'GRANT USAGE ON SCHEMA runtime TO team; GRANT SELECT ON runtime.accounts TO team WITH GRANT OPTION; SET ROLE team; GRANT SELECT (secret) ON runtime.accounts TO mallory; RESET ROLE',
    told: [/mallory: SELECT \(secret\)/],
  },
  {
    title: 'a grant option',
    sql: 'GRANT SELECT ON runtime.accounts TO oa_runtime_rw WITH GRANT OPTION',
    told: [/oa_runtime_rw: grant option for SELECT on table runtime\.accounts/],
  },
  {
    title: 'a right with grant option',
    sql: 'GRANT SELECT ON runtime.accounts TO mallory WITH GRANT OPTION',
    told: [/mallory: SELECT with grant option on table/],
  },
  {
    title: 'a grant option on a schema',
    sql: 'GRANT USAGE ON SCHEMA runtime TO oa_runtime_rw WITH GRANT OPTION',
    told: [/oa_runtime_rw: grant option for USAGE on schema runtime/],
  },
  {
    title: 'a chain of grantors',
    sql: 'GRANT USAGE ON SCHEMA runtime TO team, team2; GRANT SELECT ON runtime.accounts TO team WITH GRANT OPTION; SET ROLE team; GRANT SELECT ON runtime.accounts TO team2 WITH GRANT OPTION; SET ROLE team2; GRANT SELECT ON runtime.accounts TO mallory; RESET ROLE',
    told: [/mallory: SELECT on table runtime\.accounts/, /team2: SELECT with grant option/],
  },
  {
    title: 'a right that the policy gives, by a grantor that must not',
    sql: 'REVOKE SELECT ON runtime.accounts FROM oa_runtime_rw; GRANT USAGE ON SCHEMA runtime TO team; GRANT SELECT ON runtime.accounts TO team WITH GRANT OPTION; SET ROLE team; GRANT SELECT ON runtime.accounts TO oa_runtime_rw; RESET ROLE',
    told: [/team: SELECT with grant option/],
  },
  {
    title: 'a right by a trusted grantor, which keeps its own',
    sql: 'GRANT USAGE ON SCHEMA runtime TO platform_admin; GRANT SELECT ON runtime.accounts TO platform_admin WITH GRANT OPTION; SET ROLE platform_admin; GRANT SELECT ON runtime.accounts TO mallory; RESET ROLE',
    told: [/mallory: SELECT on table runtime\.accounts/],
    cleanup: 'REVOKE ALL ON runtime.accounts FROM platform_admin; REVOKE ALL ON SCHEMA runtime FROM platform_admin',
  },
  // Default privileges.
  {
    title: 'a default privilege',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT SELECT ON TABLES TO oa_control_rw',
    told: [
      /oa_control_rw: SELECT on tables that oa_runtime_owner will create in runtime \(via default privileges of oa_runtime_owner\)/,
    ],
  },
  {
    title: 'a default privilege of PUBLIC',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT SELECT ON TABLES TO PUBLIC',
    told: [/PUBLIC: SELECT on tables that oa_runtime_owner will create/],
  },
  {
    title: 'a default privilege for another creator',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA runtime GRANT SELECT ON TABLES TO oa_control_rw',
    told: [/oa_control_rw: SELECT on tables that postgres will create in runtime/],
  },
  {
    title: "the owner's default privilege in every schema",
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner GRANT SELECT ON TABLES TO mallory',
    told: [/mallory: SELECT on tables that oa_runtime_owner will create in every schema/],
  },
  {
    title: 'a default privilege on sequences with grant option',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT USAGE ON SEQUENCES TO oa_runtime_rw WITH GRANT OPTION',
    told: [/oa_runtime_rw: grant option for USAGE on sequences/],
  },
  {
    title: 'a default privilege on functions',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT EXECUTE ON FUNCTIONS TO mallory',
    told: [/mallory: EXECUTE on functions/],
  },
  {
    title: 'a missing default privilege',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime REVOKE INSERT ON TABLES FROM oa_runtime_rw',
    told: [/^missing: oa_runtime_rw: INSERT on tables that oa_runtime_owner will create in runtime$/],
  },
  {
    title: 'missing default privileges on sequences',
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime REVOKE ALL ON SEQUENCES FROM oa_runtime_rw',
    told: [/^missing: oa_runtime_rw: SELECT, USAGE on sequences/],
  },
  {
    title: "an owner's default privilege on what it makes itself",
    sql: 'ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner REVOKE INSERT ON TABLES FROM oa_runtime_owner',
    told: [/^missing: oa_runtime_owner: INSERT on tables that oa_runtime_owner will create in every schema$/],
  },
  // The database.
  {
    title: 'CREATE on the database',
    sql: 'GRANT CREATE ON DATABASE base TO oa_runtime_rw',
    told: [/oa_runtime_rw: CREATE on database base/],
  },
  {
    title: 'CREATE on the database through a group',
    sql: 'GRANT CREATE ON DATABASE base TO team; GRANT team TO oa_control_rw',
    told: [/oa_control_rw: CREATE on database base \(via member of team\)/],
    cleanup: 'REVOKE CREATE ON DATABASE base FROM team',
  },
  {
    title: 'a missing right on the database',
    sql: 'SELECT 1',
    policy: { ...policy, roles: { ...policy.roles, deploy: { login: true, database: ['CREATE'] } } },
    told: [/^missing: deploy: CREATE on database base$/],
    cleanup: 'REVOKE CREATE ON DATABASE base FROM deploy',
  },
  {
    title: 'a listed role as the owner of the database',
    sql: 'ALTER DATABASE base OWNER TO oa_control_rw',
    told: [/oa_control_rw: CREATE on database base \(via owner\)/],
  },
  // Doors beside the schemas.
  {
    title: 'a view elsewhere that reads in',
    sql: 'CREATE VIEW other.peek AS SELECT secret FROM runtime.accounts; ALTER VIEW other.peek OWNER TO oa_runtime_owner; GRANT SELECT ON other.peek TO PUBLIC',
    told: [/PUBLIC: SELECT on view other\.peek, which reads runtime\.accounts as oa_runtime_owner/],
    cleanup: 'DROP VIEW other.peek',
  },
  {
    title: 'a view elsewhere that reads in through another',
    sql: 'CREATE VIEW other.inner AS SELECT secret FROM runtime.accounts; CREATE VIEW other.outer AS SELECT * FROM other.inner; ALTER VIEW other.inner OWNER TO oa_runtime_owner; ALTER VIEW other.outer OWNER TO oa_runtime_owner; GRANT SELECT ON other.outer TO mallory',
    told: [/mallory: SELECT on view other\.outer, which reads runtime\.accounts/],
    cleanup: 'DROP VIEW other.outer; DROP VIEW other.inner',
  },
  {
    title: 'columns of a view elsewhere',
    sql: 'CREATE MATERIALIZED VIEW other.copied AS SELECT secret FROM runtime.accounts; ALTER MATERIALIZED VIEW other.copied OWNER TO oa_runtime_owner; GRANT SELECT (secret) ON other.copied TO mallory',
    told: [/mallory: SELECT \(secret\) on materialized view other\.copied/],
    cleanup: 'DROP MATERIALIZED VIEW other.copied',
  },
  {
    title: 'a partitioned table elsewhere with a partition inside',
    sql: "CREATE TABLE other.orders (id int, region text) PARTITION BY LIST (region); CREATE TABLE runtime.orders_eu PARTITION OF other.orders FOR VALUES IN ('eu'); ALTER TABLE other.orders OWNER TO oa_runtime_owner; ALTER TABLE runtime.orders_eu OWNER TO oa_runtime_owner; GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.orders_eu TO oa_runtime_rw; GRANT SELECT ON other.orders TO mallory; GRANT UPDATE ON other.orders TO oa_runtime_rw",
    told: [/mallory: SELECT on partitioned table other\.orders, which holds the rows of runtime\.orders_eu/],
    cleanup: 'DROP TABLE other.orders',
  },
  {
    title: 'a parent elsewhere over two generations, with a right on a column',
    sql: 'CREATE TABLE other.top (id int, note text); CREATE TABLE other.middle () INHERITS (other.top); CREATE TABLE runtime.bottom () INHERITS (other.middle); ALTER TABLE other.top OWNER TO oa_runtime_owner; ALTER TABLE runtime.bottom OWNER TO oa_runtime_owner; GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.bottom TO oa_runtime_rw; GRANT SELECT (note) ON other.top TO PUBLIC',
    told: [/PUBLIC: SELECT \(note\) on table other\.top, which holds the rows of runtime\.bottom/],
    cleanup: 'DROP TABLE other.top CASCADE',
  },
  {
    title: 'a SECURITY DEFINER function elsewhere',
    sql: "CREATE FUNCTION other.wipe() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM runtime.accounts'; ALTER FUNCTION other.wipe() OWNER TO oa_runtime_owner",
    told: [/PUBLIC: EXECUTE on function other\.wipe\(\), which acts as oa_runtime_owner/],
    cleanup: 'DROP FUNCTION other.wipe()',
  },
  {
    title: 'a SECURITY DEFINER function elsewhere of a role that may only read',
    sql: "CREATE FUNCTION other.look() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM runtime.sync_events'; ALTER FUNCTION other.look() OWNER TO oa_spacetime_ro; REVOKE EXECUTE ON FUNCTION other.look() FROM PUBLIC; GRANT EXECUTE ON FUNCTION other.look() TO team; GRANT team TO mallory",
    told: [/mallory: EXECUTE on function other\.look\(\).*via member of team/],
    cleanup: 'DROP FUNCTION other.look(); REVOKE team FROM mallory',
  },
  {
    title: 'a view elsewhere that reads a parent there',
    sql: "CREATE TABLE other.orders (id int, region text) PARTITION BY LIST (region); CREATE TABLE runtime.orders_eu PARTITION OF other.orders FOR VALUES IN ('eu'); ALTER TABLE runtime.orders_eu OWNER TO oa_runtime_owner; GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.orders_eu TO oa_runtime_rw; GRANT SELECT ON other.orders TO oa_runtime_owner; CREATE VIEW other.peek AS SELECT id FROM other.orders; ALTER VIEW other.peek OWNER TO oa_runtime_owner; GRANT SELECT ON other.peek TO mallory, oa_runtime_rw",
    told: [/^unexpected: mallory: SELECT on view other\.peek, which reads runtime\.orders_eu as oa_runtime_owner/],
    cleanup: 'DROP VIEW other.peek; DROP TABLE other.orders',
  },
  {
    title: 'what a member that is not listed itself opens elsewhere',
    sql: "CREATE PROCEDURE other.serve() LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; ALTER PROCEDURE other.serve() OWNER TO app; CREATE VIEW other.peek AS SELECT secret FROM runtime.accounts; ALTER VIEW other.peek OWNER TO app; GRANT SELECT ON other.peek TO mallory",
    told: [
      /^unexpected: PUBLIC: EXECUTE on procedure other\.serve\(\), which acts as app \(via PUBLIC\)$/,
      /^unexpected: mallory: SELECT on view other\.peek, which reads runtime\.accounts as app/,
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
    told: [
      /"x""; DROP TABLE runtime\.accounts; --": SELECT on table runtime\."sync_""; DROP SCHEMA control; --\\n line"/,
      /"PUBLIC": SELECT/,
      /"ü\.Ω 🦆 PUBLIC" is a member of oa_runtime_rw/,
      /"=arwd\/postgres": SELECT/,
      /n{63}: SELECT/,
      /missing: oa_spacetime_ro: SELECT/,
      /^unexpected: PUBLIC: EXECUTE on function runtime\."f; \(x"\(\)/,
    ],
    cleanup: `DROP TABLE runtime."sync_""; DROP SCHEMA control; --
 line"; DROP FUNCTION runtime."f; (x"(); DROP ROLE "x""; DROP TABLE runtime.accounts; --", "ü.Ω 🦆 PUBLIC", "PUBLIC", "=arwd/postgres", "${'n'.repeat(63)}"`,
  },
  {
    title: 'a type with a hostile name among the arguments',
    sql: `CREATE TYPE other."t;) x" AS (a int); SET ROLE oa_runtime_owner; CREATE FUNCTION runtime.odd(v other."t;) x") RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET ROLE`,
    told: [/PUBLIC: EXECUTE on function runtime\.odd/],
    cleanup: `DROP FUNCTION runtime.odd; DROP TYPE other."t;) x"`,
  },
  {
    title: 'a policy by the arguments of a function',
    sql: 'SELECT 1',
    policy: withRuntime({
      grants: { ...policy.schemas?.runtime?.grants, oa_control_rw: { functions: { 'area(integer)': ['EXECUTE'] } } },
    }),
    told: [/^missing: oa_control_rw: EXECUTE on function runtime\.area\(integer\)$/],
    cleanup: 'REVOKE EXECUTE ON FUNCTION runtime.area(int) FROM oa_control_rw',
  },
]

/** Changes that are none of the policy's business. */
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
    title: 'a right that is granted twice',
    sql: 'GRANT SELECT (id) ON runtime.accounts TO oa_runtime_rw; GRANT SELECT ON runtime.accounts TO oa_runtime_rw',
    cleanup:
      'REVOKE SELECT (id) ON runtime.accounts FROM oa_runtime_rw; GRANT SELECT ON runtime.accounts TO oa_runtime_rw',
  },
  {
    title: 'a direct right of a listed member that it has through its role',
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
    title: 'an unrelated role with CREATEROLE, and the roles that it made',
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
    title: 'trusted roles with rights, attributes and memberships',
    sql: 'GRANT ALL ON ALL TABLES IN SCHEMA runtime TO platform_admin WITH GRANT OPTION; GRANT oa_runtime_owner, pg_read_all_data TO platform_admin; ALTER ROLE platform_admin SUPERUSER; ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT ALL ON TABLES TO platform_admin',
    cleanup:
      'ALTER ROLE platform_admin NOSUPERUSER; REVOKE oa_runtime_owner, pg_read_all_data FROM platform_admin; REVOKE ALL ON ALL TABLES IN SCHEMA runtime FROM platform_admin; ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime REVOKE ALL ON TABLES FROM platform_admin',
  },
  {
    title: 'a view of the caller’s own rights',
    since: 15,
    sql: 'CREATE VIEW other.peek WITH (security_invoker = true) AS SELECT secret FROM runtime.accounts; ALTER VIEW other.peek OWNER TO oa_runtime_owner; GRANT SELECT ON other.peek TO PUBLIC',
    cleanup: 'DROP VIEW other.peek',
  },
  {
    title: 'a view elsewhere for those who may read what it reads',
    sql: 'CREATE VIEW other.peek AS SELECT topic FROM runtime.sync_events; ALTER VIEW other.peek OWNER TO oa_runtime_owner; GRANT SELECT ON other.peek TO oa_spacetime_ro, oa_runtime_rw',
    cleanup: 'DROP VIEW other.peek',
  },
  {
    title: 'a parent elsewhere for those who may read its partition, and one of a role that is not listed',
    sql: "CREATE TABLE other.orders (id int, region text) PARTITION BY LIST (region); CREATE TABLE runtime.sync_eu PARTITION OF other.orders FOR VALUES IN ('eu'); ALTER TABLE other.orders OWNER TO oa_runtime_owner; ALTER TABLE runtime.sync_eu OWNER TO oa_runtime_owner; GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.sync_eu TO oa_runtime_rw; GRANT SELECT ON runtime.sync_eu TO oa_spacetime_ro; GRANT SELECT ON other.orders TO oa_spacetime_ro; CREATE INDEX ON other.orders (id); CREATE TABLE other.apart (id int); CREATE TABLE other.below () INHERITS (other.apart); GRANT SELECT ON other.apart TO PUBLIC",
    cleanup: 'DROP TABLE other.orders; DROP TABLE other.apart CASCADE',
  },
  {
    title: 'functions elsewhere that act as their caller, or as a role that holds nothing',
    sql: "CREATE FUNCTION other.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION other.f() OWNER TO oa_runtime_owner",
    cleanup: 'DROP FUNCTION other.f()',
  },
  {
    title: 'the built-in default written down',
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
    title: 'what a member opens elsewhere to those who may do what it may',
    sql: "CREATE FUNCTION other.serve() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION other.serve() FROM PUBLIC; ALTER FUNCTION other.serve() OWNER TO app; GRANT EXECUTE ON FUNCTION other.serve() TO oa_runtime_rw",
    cleanup: 'DROP FUNCTION other.serve()',
  },
  {
    title: 'default privileges of the owner for who may act as it',
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
    title: 'a range type, which brings constructors of its own and of its multirange',
    sql: 'SET ROLE oa_runtime_owner; CREATE TYPE runtime.span AS RANGE (subtype = int); CREATE TYPE runtime.reach AS RANGE (subtype = text, multirange_type_name = runtime.reaches); RESET ROLE',
    cleanup: 'DROP TYPE runtime.span; DROP TYPE runtime.reach',
  },
]
