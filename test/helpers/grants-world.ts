import { createPostgresReader } from '../../src/clients/postgres/postgres.ts'
import { systemClock } from '../../src/clock.ts'
import { startDeadline } from '../../src/concurrency/deadline.ts'
import { compareGrants } from '../../src/grants/judge/compare.ts'
import { describeDiscrepancy, describeInLine } from '../../src/grants/judge/describe.ts'
import type { Catalog } from '../../src/grants/model/catalog.ts'
import type { Oid } from '../../src/grants/model/oid.ts'
import type { GrantsPolicy } from '../../src/grants/model/policy.ts'
import { planGrants, renderPlan } from '../../src/grants/plan/plan.ts'
import { readCatalog, scopeOf } from '../../src/probes/read-catalog.ts'
import type { PostgresServer } from './postgres-server.ts'

/** The policy of the runbook, with members and with every kind of object. */
export const policy: GrantsPolicy = {
  roles: {
    oa_runtime_owner: { members: ['deploy'] },
    oa_runtime_rw: { members: ['app'] },
    oa_spacetime_ro: { members: [] },
    oa_control_rw: {},
    deploy: { login: true, members: [] },
  },
  trustedRoles: ['postgres', 'platform_admin'],
  schemas: {
    runtime: {
      owner: 'oa_runtime_owner',
      relations: ['sync_events', 'accounts'],
      grants: {
        oa_runtime_rw: {
          schema: ['USAGE'],
          tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
          sequences: ['USAGE', 'SELECT'],
          functions: ['EXECUTE'],
        },
        oa_spacetime_ro: {
          schema: ['USAGE'],
          tables: { 'sync_*': ['SELECT'], spacetime_projection_checkpoints: ['SELECT'] },
        },
      },
      defaults: {
        oa_runtime_rw: { tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'], sequences: ['USAGE', 'SELECT'] },
      },
    },
    control: {
      grants: {
        oa_control_rw: {
          schema: ['USAGE'],
          tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
          sequences: ['USAGE', 'SELECT'],
        },
      },
    },
  },
}

/** The roles of the cluster. `monitor` can only log in. */
export const rolesSql = `
  CREATE ROLE monitor LOGIN;
  CREATE ROLE oa_runtime_owner; CREATE ROLE oa_runtime_rw; CREATE ROLE oa_spacetime_ro; CREATE ROLE oa_control_rw;
  CREATE ROLE deploy LOGIN; GRANT oa_runtime_owner TO deploy;
  CREATE ROLE app LOGIN; GRANT oa_runtime_rw TO app;
  CREATE ROLE platform_admin; CREATE ROLE mallory LOGIN; CREATE ROLE team; CREATE ROLE team2; CREATE ROLE team3;`

/** A database that matches the policy. */
export const schemasSql = `
  CREATE SCHEMA runtime AUTHORIZATION oa_runtime_owner; CREATE SCHEMA control; CREATE SCHEMA other;
  GRANT ALL ON SCHEMA other TO PUBLIC;
  CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
  GRANT USAGE ON FOREIGN SERVER nowhere TO oa_runtime_owner;
  SET ROLE oa_runtime_owner;
  CREATE TABLE runtime.sync_events (id serial PRIMARY KEY, topic text, payload text);
  CREATE TABLE runtime.sync_topics (id int GENERATED ALWAYS AS IDENTITY, topic text) PARTITION BY LIST (topic);
  CREATE TABLE runtime.sync_topics_p0 PARTITION OF runtime.sync_topics FOR VALUES IN ('a');
  CREATE TABLE runtime.accounts (id int, name text, secret text);
  CREATE TABLE runtime.spacetime_projection_checkpoints (id int);
  CREATE VIEW runtime.sync_view AS SELECT id FROM runtime.sync_events;
  CREATE MATERIALIZED VIEW runtime.sync_totals AS SELECT count(*) FROM runtime.sync_events;
  CREATE FOREIGN TABLE runtime.remote (id int) SERVER nowhere;
  CREATE SEQUENCE runtime.counter;
  CREATE FUNCTION runtime.area(w int, h int) RETURNS int LANGUAGE sql AS 'SELECT w * h';
  CREATE FUNCTION runtime.area(r int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT r';
  CREATE PROCEDURE runtime.tidy(INOUT n int, v text[]) LANGUAGE sql AS 'SELECT n';
  CREATE AGGREGATE runtime.total(int) (SFUNC = int4pl, STYPE = int);
  RESET ROLE;
  CREATE AGGREGATE runtime.rank_of(VARIADIC "any" ORDER BY VARIADIC "any")
    (SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL);
  ALTER AGGREGATE runtime.rank_of(VARIADIC "any" ORDER BY VARIADIC "any") OWNER TO oa_runtime_owner;
  CREATE TABLE control.leases (id serial, holder text); ALTER TABLE control.leases ADD COLUMN at timestamptz;
  REVOKE ALL ON ALL ROUTINES IN SCHEMA runtime FROM PUBLIC;
  GRANT USAGE ON SCHEMA runtime TO oa_runtime_rw, oa_spacetime_ro; GRANT USAGE ON SCHEMA control TO oa_control_rw;
  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA runtime TO oa_runtime_rw;
  GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA runtime TO oa_runtime_rw;
  GRANT EXECUTE ON ALL ROUTINES IN SCHEMA runtime TO oa_runtime_rw;
  GRANT SELECT ON runtime.sync_events, runtime.sync_topics, runtime.sync_topics_p0, runtime.sync_view,
    runtime.sync_totals, runtime.spacetime_projection_checkpoints TO oa_spacetime_ro;
  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA control TO oa_control_rw;
  GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA control TO oa_control_rw;
  ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO oa_runtime_rw;
  ALTER DEFAULT PRIVILEGES FOR ROLE oa_runtime_owner IN SCHEMA runtime GRANT USAGE, SELECT ON SEQUENCES TO oa_runtime_rw;`

/** The result of judging a database by a policy. */
export interface Judgement {
  /** The differences, one line each. */
  readonly drift: readonly string[]
  /** The script of the plan; empty if there is nothing to do. */
  readonly plan: string
  readonly impossible: readonly string[]
}

export interface GovernedDatabase {
  catalog(): Promise<Catalog>
  /** Judges by a policy, and plans for an operator or a superuser. */
  judge(by?: GrantsPolicy, operator?: string | null): Promise<Judgement>
  close(): Promise<void>
}

/** Connects as the monitor, which has only the CONNECT privilege. */
export function govern(server: PostgresServer, database: string, standard: GrantsPolicy = policy): GovernedDatabase {
  const url = server.url('monitor', database)
  const reader = createPostgresReader({ url, statementTimeoutMs: 10_000, lockTimeoutMs: 2000 })
  const read = (by: GrantsPolicy) =>
    reader.read(startDeadline(systemClock, 20_000), session => readCatalog(session, scopeOf(by)))
  return {
    catalog: () => read(standard),
    async judge(by = standard, operator = null) {
      const catalog = await read(by)
      const { context, discrepancies } = compareGrants(by, catalog)
      const plan = planGrants(by, catalog, operator === null ? null : oidOf(catalog, operator))
      return {
        drift: discrepancies.map(found => describeInLine(describeDiscrepancy(found, context))),
        plan: renderPlan({ ...plan, impossible: [] }),
        impossible: plan.impossible,
      }
    },
    close: () => reader.close(),
  }
}

function oidOf(catalog: Catalog, name: string): Oid {
  const role = catalog.roles.find(known => known.name === name)
  if (!role) throw new Error(`no role ${name}`)
  return role.oid
}
