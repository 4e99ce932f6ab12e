import { createPostgresReader } from '../../clients/postgres/postgres.ts'
import type { PostgresSession } from '../../clients/postgres/postgres-connection.ts'
import type { Clock } from '../../clock.ts'
import { startDeadline } from '../../concurrency/deadline.ts'
import type { DatabaseConfig, Stack } from '../../config/config.ts'
import { describeTarget, parsePostgresUrl } from '../../config/postgres-url.ts'
import type { Secret } from '../../config/secret.ts'
import { asDriftwatchError, DriftwatchError } from '../../errors.ts'
import type { Catalog } from '../../grants/model/catalog.ts'
import { readCatalog, scopeOf } from '../../probes/read-catalog.ts'

export type DatabaseStack = Stack & { readonly database: DatabaseConfig }

/** A command on the grants of one stack's database. */
export interface GrantsJob {
  readonly stack: DatabaseStack
  /** Bounds one look. */
  readonly timeoutMs: number
  readonly clock: Clock
  /** Aborts when the process is asked to end. */
  readonly signal: AbortSignal
}

/** Works on what one moment of a database shows, over a connection of its own, and changes nothing. */
export async function lookAt<Value>(
  url: Secret,
  { timeoutMs, clock, signal }: GrantsJob,
  work: (session: PostgresSession) => Promise<Value>,
): Promise<Value> {
  const limits = { statementTimeoutMs: timeoutMs, lockTimeoutMs: timeoutMs / 2 }
  const reader = createPostgresReader({ url: url.reveal(), ...limits })
  const deadline = startDeadline(clock, timeoutMs, signal)
  try {
    return await reader.read(deadline, work)
  } catch (thrown) {
    throw signal.aborted ? grantsInterrupted() : asDriftwatchError(thrown)
  } finally {
    deadline.cancel()
    await reader.close()
  }
}

export function readGoverned(url: Secret, job: GrantsJob): Promise<Catalog> {
  return lookAt(url, job, session => readCatalog(session, scopeOf(job.stack.database)))
}

/** Where a URL leads and as whom, without its password. */
export function describeUrl(url: Secret): string {
  return describeTarget(parsePostgresUrl(url.reveal()))
}

export function grantsInterrupted(): DriftwatchError {
  return new DriftwatchError('INTERRUPTED', 'interrupted: nothing was changed')
}
