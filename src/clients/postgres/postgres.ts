import { parsePostgresUrl } from '../../config/postgres-url.ts'
import { createPostgresConnection, type PostgresSession } from './postgres-connection.ts'

/** A database that is only read. */
export interface PostgresReader {
  /**
   * Runs work in one read-only transaction that sees one moment, with an empty search path, over the one connection that
   * is kept. Rejects with a code of ours; with DEADLINE_EXCEEDED when the signal aborts.
   */
  read<Value>(signal: AbortSignal, work: (session: PostgresSession) => Promise<Value>): Promise<Value>
  close(): Promise<void>
}

export interface PostgresOptions {
  readonly url: string
  /** How long the server works on one statement. */
  readonly statementTimeoutMs: number
  /** How long the server waits for a lock. */
  readonly lockTimeoutMs: number
}

/** Opens nothing before the first read. Throws CONFIG_INVALID for a URL that is none. */
export function createPostgresReader(options: PostgresOptions): PostgresReader {
  const connection = createPostgresConnection(parsePostgresUrl(options.url))
  const begin = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${settings(options)}`
  return {
    read: (signal, work) => connection.transact(begin, signal, work),
    close: () => connection.close(),
  }
}

/** For one transaction only, so that they also hold behind a pooler. */
export function settings({ statementTimeoutMs, lockTimeoutMs }: Omit<PostgresOptions, 'url'>): string {
  return [
    `SET LOCAL statement_timeout = ${Math.ceil(statementTimeoutMs)}`,
    `SET LOCAL lock_timeout = ${Math.ceil(lockTimeoutMs)}`,
    "SET LOCAL search_path = ''",
  ].join('; ')
}
