import type { PostgresSession } from '../../clients/postgres/postgres-connection.ts'
import { createPostgresWriter } from '../../clients/postgres/postgres-writer.ts'
import { startDeadline } from '../../concurrency/deadline.ts'
import type { Secret } from '../../config/secret.ts'
import { asDriftwatchError, DriftwatchError, type ErrorCode } from '../../errors.ts'
import { compareGrants } from '../../grants/judge/compare.ts'
import { describeDiscrepancy, describeInLine } from '../../grants/judge/describe.ts'
import type { Catalog } from '../../grants/model/catalog.ts'
import { type DatabaseIdentity, isSameDatabase } from '../../grants/model/identity.ts'
import { type GrantsPlan, planGrants, renderPlan } from '../../grants/plan/plan.ts'
import { printable } from '../../printable.ts'
import { readCatalog, scopeOf } from '../../probes/read-catalog.ts'
import { readIdentity } from '../../probes/read-identity.ts'
import type { PlannedStep } from '../rollout/planned-step.ts'
import {
  type DatabaseStack,
  describeUrl,
  type GrantsJob,
  grantsInterrupted,
  lookAt,
  readGoverned,
} from './grants-database.ts'
import { counted, countStatements } from './grants-plan.ts'

export interface ApplyRequest extends GrantsJob {
  /** Of whoever may change the database. */
  readonly adminUrl: Secret
  readonly dryRun: boolean
  /** Shows what will be run before anybody is asked. */
  show(plan: GrantsPlan): void
  /** Resolves when somebody agrees, and rejects with NOT_CONFIRMED. */
  agree(steps: readonly PlannedStep[]): Promise<void>
  /** One line of progress. */
  say(line: string): void
}

/** What still differs from the policy, one line each: nothing when it worked. */
export type Leftover = readonly string[]

/** As long as a plan may take; a lock that somebody holds is not waited for that long. */
const applyLimits = { statementTimeoutMs: 5 * 60_000, lockTimeoutMs: 10_000 }
const applyMs = 10 * 60_000

/** `drift`, as the number that all of Driftwatch agrees on. */
const advisoryLock = '431416239732'

/**
 * Plans as the operator, asks, and runs exactly what was shown in one transaction; it is committed only where nothing is
 * left but what was said beforehand to stay. Then the monitor looks again. Rejects with REFUSED, CONFLICT, STEP_FAILED and
 * UNCERTAIN.
 */
export async function applyGrants(request: ApplyRequest): Promise<Leftover> {
  const { stack, adminUrl, show, agree, dryRun, say } = request
  const [watched, { identity, catalog }] = await Promise.all([
    lookAt(stack.database.url, request, readIdentity),
    lookAt(adminUrl, request, async session => ({
      identity: await readIdentity(session),
      catalog: await readCatalog(session, scopeOf(stack.database)),
    })),
  ])
  assertSame(watched, identity, request)
  const plan = planFor(stack, catalog)
  show(plan)
  if (plan.steps.length > 0) {
    await agree(stepsOf(plan, catalog, request))
    if (dryRun) return []
    await runPlan(plan, identity, request)
    say(`apply: ${countStatements(plan)}, committed`)
  }
  const left = differences(stack, await readGoverned(stack.database.url, request))
  say(left.length === 0 ? 'check: in sync' : `check: ${counted(left.length, 'difference')} left`)
  return left
}

/** The operator's URL is written by hand: a policy must not be brought upon another database. */
function assertSame(watched: DatabaseIdentity, changed: DatabaseIdentity, { stack, adminUrl }: ApplyRequest): void {
  if (isSameDatabase(watched, changed)) return
  throw new DriftwatchError(
    'REFUSED',
    `the operator's URL leads to another database (${describeUrl(adminUrl)}) than the config's (${describeUrl(stack.database.url)}): nothing was changed`,
  )
}

function planFor({ database }: DatabaseStack, catalog: Catalog): GrantsPlan {
  return planGrants(database, catalog, catalog.currentRole)
}

function stepsOf(plan: GrantsPlan, catalog: Catalog, { stack, adminUrl }: ApplyRequest): PlannedStep[] {
  const who = catalog.roles.find(({ oid }) => oid === catalog.currentRole)
  const kind = who?.superuser ? 'superuser' : 'no superuser'
  const rest = plan.left.length > 0 ? `; ${counted(plan.left.length, 'difference')} will be left, as said above` : ''
  return [
    {
      name: 'apply',
      text: `run ${countStatements(plan)} in one transaction on ${describeUrl(adminUrl)} (${kind})${rest}`,
    },
    { name: 'check', text: `look again as the monitor, ${describeUrl(stack.database.url)}` },
  ]
}

async function runPlan(plan: GrantsPlan, identity: DatabaseIdentity, request: ApplyRequest): Promise<void> {
  const { adminUrl, clock, signal } = request
  if (signal.aborted) throw grantsInterrupted()
  const writer = createPostgresWriter({ url: adminUrl.reveal(), ...applyLimits })
  const deadline = startDeadline(clock, applyMs, signal)
  let done = false
  try {
    await writer.write(deadline, async session => {
      // The same URL may lead elsewhere by now.
      assertSame(identity, await readIdentity(session), request)
      await converge(session, plan, request)
      done = true
    })
  } catch (thrown) {
    throw failureOf(asDriftwatchError(thrown), { done, aborted: signal.aborted })
  } finally {
    deadline.cancel()
    await writer.close()
  }
}

/** Within the transaction: nobody else applies, nothing has changed since it was shown, and the outcome is what was said. */
async function converge(session: PostgresSession, plan: GrantsPlan, { stack }: ApplyRequest): Promise<void> {
  const [row] = await session.rows<[boolean]>(`SELECT pg_catalog.pg_try_advisory_xact_lock(${advisoryLock})`)
  if (!row?.[0])
    throw new DriftwatchError('CONFLICT', 'another `grants apply` is at work on this database: nothing was changed')
  const before = await readCatalog(session, scopeOf(stack.database))
  if (renderPlan(planFor(stack, before)) !== renderPlan(plan))
    throw new DriftwatchError(
      'CONFLICT',
      'the database changed while you read the plan: nothing was changed; run it again',
    )
  for (const { statements } of plan.steps) for (const sql of statements) await runStatement(session, sql)
  const left = differences(stack, await readCatalog(session, scopeOf(stack.database)))
  const unforeseen = left.filter(line => !plan.left.includes(line))
  if (unforeseen.length > 0)
    throw new DriftwatchError(
      'STEP_FAILED',
      `the statements ran and did not make the database what they should, so they were rolled back; left would be:\n${unforeseen.map(line => `  ${line}`).join('\n')}`,
    )
}

async function runStatement(session: PostgresSession, sql: string): Promise<void> {
  try {
    await session.run(sql)
  } catch (thrown) {
    const { code, message } = asDriftwatchError(thrown)
    if (outOfReach.includes(code)) throw thrown
    throw new DriftwatchError(
      'STEP_FAILED',
      `nothing was changed: a statement failed\n  ${printable(sql)};\n  ${message}`,
    )
  }
}

const outOfReach: readonly ErrorCode[] = ['UNAVAILABLE', 'RESOURCE_EXHAUSTED']

/** Only a lost answer to COMMIT leaves it open what stands; whatever fails before is rolled back by the server. */
function failureOf(error: DriftwatchError, { done, aborted }: { done: boolean; aborted: boolean }): DriftwatchError {
  if (done)
    return new DriftwatchError(
      'UNCERTAIN',
      `the answer to COMMIT was lost: \`driftwatch grants plan\` shows what stands (${error.message})`,
      { cause: error },
    )
  return aborted ? grantsInterrupted() : error
}

function differences({ database }: DatabaseStack, catalog: Catalog): Leftover {
  const { discrepancies, context } = compareGrants(database, catalog)
  return discrepancies.map(found => describeInLine(describeDiscrepancy(found, context)))
}
