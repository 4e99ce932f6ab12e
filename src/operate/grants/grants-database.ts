import { createPostgresReader } from '../../clients/postgres/postgres.ts'
import type { PostgresSession } from '../../clients/postgres/postgres-connection.ts'
import type { Clock } from '../../clock.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import type { DatabaseConfig, Stack } from '../../config/config.ts'
import { describeTarget, parsePostgresUrl } from '../../config/postgres-url.ts'
import type { Secret } from '../../config/secret.ts'
import { asDriftwatchError } from '../../errors.ts'
import type { Catalog } from '../../grants/model/catalog.ts'
import { readCatalog, scopeOf } from '../../probes/read-catalog.ts'
import type { DriftwatchCommands } from '../../remedies/driftwatch-commands.ts'
import { interrupted } from '../interrupted.ts'

export type DatabaseStack = Stack & { readonly database: DatabaseConfig }

/** A command for the grants of one stack's database. */
export interface GrantsJob {
  readonly stack: DatabaseStack
  /** The command lines in messages. */
  readonly commands: DriftwatchCommands
  /** For one database session. */
  readonly timeoutMs: number
  readonly clock: Clock
  /** Aborts when the command is interrupted. */
  readonly signal: AbortSignal
}

/** Runs `work` in a read-only session, over its own connection. */
export async function withSession<Value>(
  url: Secret,
  { timeoutMs, clock, signal }: GrantsJob,
  work: (session: PostgresSession) => Promise<Value>,
): Promise<Value> {
  const limits = { statementTimeoutMs: timeoutMs, lockTimeoutMs: timeoutMs / 2 }
  const reader = createPostgresReader({ url: url.reveal(), ...limits })
  try {
    return await withDeadline(clock, timeoutMs, signal, deadline => reader.read(deadline, work))
  } catch (thrown) {
    throw signal.aborted ? interrupted('nothing was changed') : asDriftwatchError(thrown)
  } finally {
    await reader.close()
  }
}

export function readGovernedCatalog(url: Secret, job: GrantsJob): Promise<Catalog> {
  return withSession(url, job, session => readCatalog(session, scopeOf(job.stack.database)))
}

/** The database and user of a URL, without the password. */
export function describeUrl(url: Secret): string {
  return describeTarget(parsePostgresUrl(url.reveal()))
}
