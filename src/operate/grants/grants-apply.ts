import type { PostgresSession } from '../../clients/postgres/postgres-connection.ts'
import { createPostgresWriter } from '../../clients/postgres/postgres-writer.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import type { Secret } from '../../config/secret.ts'
import { asDriftwatchError, DriftwatchError } from '../../errors.ts'
import { compareGrants } from '../../grants/judge/compare.ts'
import { describeDiscrepancy, describeInLine } from '../../grants/judge/describe.ts'
import type { Catalog } from '../../grants/model/catalog.ts'
import { type DatabaseIdentity, isSameDatabase } from '../../grants/model/identity.ts'
import { type GrantsPlan, planGrants, renderPlan } from '../../grants/plan/plan.ts'
import { printable } from '../../printable.ts'
import { readCatalog, scopeOf } from '../../probes/read-catalog.ts'
import { readServer } from '../../probes/read-server.ts'
import { interrupted } from '../interrupted.ts'
import type { PlannedStep } from '../rollout/planned-step.ts'
import { type DatabaseStack, describeUrl, type GrantsJob, readGovernedCatalog, withSession } from './grants-database.ts'
import { countStatements, formatCount } from './grants-plan.ts'

export interface ApplyRequest extends GrantsJob {
  /** The URL of the operator, a role that may change the database. */
  readonly adminUrl: Secret
  readonly dryRun: boolean
  /** Prints the plan before the confirmation. */
  show(plan: GrantsPlan): void
  /** Asks for confirmation; rejects with NOT_CONFIRMED. */
  confirm(steps: readonly PlannedStep[]): Promise<void>
  /** Prints one line of progress. */
  print(line: string): void
}

/** A plan may take long, but must not wait long for a lock. */
const applyLimits = { statementTimeoutMs: 5 * 60_000, lockTimeoutMs: 10_000 } as const
const applyMs = 10 * 60_000

/** The bytes of `drift` as a number. Every Driftwatch uses the same lock. */
const advisoryLock = '431416239732'

/**
 * Plans as the operator, asks for confirmation, and runs exactly the confirmed plan in one transaction. It is committed
 * only if no differences remain except those that the plan announced. Then the monitor reads the database again. Rejects
 * with REFUSED, CONFLICT, STEP_FAILED or UNCERTAIN. Resolves with the remaining differences, one line each.
 */
export async function applyGrants(request: ApplyRequest): Promise<string[]> {
  const { stack, adminUrl, show, confirm, dryRun, print } = request
  const [watched, { identity, catalog }] = await Promise.all([
    withSession(stack.database.url, request, readServer),
    withSession(adminUrl, request, async session => {
      const server = await readServer(session)
      return {
        identity: server.identity,
        catalog: await readCatalog(session, scopeOf(stack.database), undefined, server),
      }
    }),
  ])
  assertSameDatabase(watched.identity, identity, request)
  const plan = planFor(stack, catalog)
  show(plan)
  if (plan.steps.length > 0) {
    await confirm(stepsOf(plan, catalog, request))
    if (dryRun) return []
    await runPlan(plan, identity, request)
    print(`apply: ${countStatements(plan)}, committed`)
  }
  const remaining = differences(stack, await readGovernedCatalog(stack.database.url, request))
  print(remaining.length === 0 ? 'check: in sync' : `check: ${formatCount(remaining.length, 'difference')} remaining`)
  return remaining
}

/** The operator's URL is a separate setting: a mistake in it must not change another database. */
function assertSameDatabase(
  watched: DatabaseIdentity,
  changed: DatabaseIdentity,
  { stack, adminUrl }: ApplyRequest,
): void {
  if (isSameDatabase(watched, changed)) return
  throw new DriftwatchError(
    'REFUSED',
    `the operator's URL points to another database (${describeUrl(adminUrl)}) than database.url (${describeUrl(stack.database.url)}): nothing was changed`,
  )
}

function planFor({ database }: DatabaseStack, catalog: Catalog): GrantsPlan {
  return planGrants(database, catalog, catalog.currentRole)
}

function stepsOf(plan: GrantsPlan, catalog: Catalog, { stack, adminUrl }: ApplyRequest): PlannedStep[] {
  const operator = catalog.roles.find(({ oid }) => oid === catalog.currentRole)
  const kind = operator?.superuser ? 'superuser' : 'not a superuser'
  const rest =
    plan.left.length > 0 ? `; ${formatCount(plan.left.length, 'difference')} will remain, as listed above` : ''
  return [
    {
      name: 'apply',
      text: `run ${countStatements(plan)} in one transaction on ${describeUrl(adminUrl)} (${kind})${rest}`,
    },
    { name: 'check', text: `read the database again as the monitor, ${describeUrl(stack.database.url)}` },
  ]
}

async function runPlan(plan: GrantsPlan, identity: DatabaseIdentity, request: ApplyRequest): Promise<void> {
  const { adminUrl, clock, signal } = request
  if (signal.aborted) throw interrupted('nothing was changed')
  const writer = createPostgresWriter({ url: adminUrl.reveal(), ...applyLimits })
  let executed = false
  const work = async (session: PostgresSession) => {
    // The URL may have resolved to another server since the first session.
    assertSameDatabase(identity, (await readServer(session)).identity, request)
    await converge(session, plan, request)
    executed = true
  }
  try {
    await withDeadline(clock, applyMs, signal, deadline => writer.write(deadline, work))
  } catch (thrown) {
    const inspect = request.commands.grants('plan', request.stack)
    throw failureOf(asDriftwatchError(thrown), { executed, aborted: signal.aborted, inspect })
  } finally {
    await writer.close()
  }
}

/** Verifies in the transaction that no other apply runs, that the plan is still current, and that it had its effect. */
async function converge(session: PostgresSession, plan: GrantsPlan, { stack }: ApplyRequest): Promise<void> {
  const [row] = await session.rows<[boolean]>(`SELECT pg_catalog.pg_try_advisory_xact_lock(${advisoryLock})`)
  if (!row?.[0])
    throw new DriftwatchError('CONFLICT', 'another `grants apply` is running on this database: nothing was changed')
  const before = await readCatalog(session, scopeOf(stack.database))
  if (renderPlan(planFor(stack, before)) !== renderPlan(plan))
    throw new DriftwatchError(
      'CONFLICT',
      'the database changed after the plan was printed. Nothing was changed; run the command again.',
    )
  for (const { statements } of plan.steps) for (const sql of statements) await runStatement(session, sql)
  const remaining = differences(stack, await readCatalog(session, scopeOf(stack.database)))
  const unexpected = remaining.filter(line => !plan.left.includes(line))
  if (unexpected.length > 0)
    throw new DriftwatchError(
      'STEP_FAILED',
      `the statements were rolled back: they succeeded, but these differences would remain:\n${unexpected.map(line => `  ${line}`).join('\n')}`,
    )
}

async function runStatement(session: PostgresSession, sql: string): Promise<void> {
  try {
    await session.run(sql)
  } catch (thrown) {
    const { code, message } = asDriftwatchError(thrown)
    // The connection failed, not the statement.
    if (code === 'UNAVAILABLE' || code === 'RESOURCE_EXHAUSTED') throw thrown
    throw new DriftwatchError(
      'STEP_FAILED',
      `a statement failed, and nothing was changed\n  ${printable(sql)};\n  ${message}`,
    )
  }
}

/** Only a lost response to COMMIT is uncertain. After any earlier failure the server rolls back. */
function failureOf(
  error: DriftwatchError,
  { executed, aborted, inspect }: { executed: boolean; aborted: boolean; inspect: string },
): DriftwatchError {
  if (executed)
    return new DriftwatchError(
      'UNCERTAIN',
      `no response to COMMIT (${error.message}). Run "${inspect}" to see whether the changes were made.`,
      { cause: error },
    )
  return aborted ? interrupted('nothing was changed') : error
}

function differences({ database }: DatabaseStack, catalog: Catalog): string[] {
  const { discrepancies, context } = compareGrants(database, catalog)
  return discrepancies.map(discrepancy => describeInLine(describeDiscrepancy(discrepancy, context)))
}
