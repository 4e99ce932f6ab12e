import type { Deadline } from '../../concurrency/deadline.ts'
import { parsePostgresUrl } from '../../config/postgres-url.ts'
import { type ConnectionLifetime, createPostgresConnection, type PostgresSession } from './postgres-connection.ts'

/** Read access to one database. */
export interface PostgresReader {
  /** Runs work in one read-only transaction with one snapshot and an empty search path. Rejects with a coded error. */
  read<Value>(deadline: Deadline, work: (session: PostgresSession) => Promise<Value>): Promise<Value>
  /** The next read resolves the host name and logs in again. */
  expire(): void
  close(): Promise<void>
}

export interface PostgresOptions {
  readonly url: string
  /** How long the server may work on one statement. */
  readonly statementTimeoutMs: number
  /** How long the server may wait for a lock. */
  readonly lockTimeoutMs: number
  /** How long one connection is used. Default: until the reader is closed. */
  readonly lifetime?: ConnectionLifetime
}

/** Connects at the first read. Throws CONFIG_INVALID for an invalid URL. */
export function createPostgresReader(options: PostgresOptions): PostgresReader {
  const connection = createPostgresConnection(parsePostgresUrl(options.url), options.lifetime)
  const begin = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${settings(options)}`
  return {
    read: (deadline, work) => connection.transact(begin, deadline, work),
    expire: () => connection.expire(),
    close: () => connection.close(),
  }
}

/** Settings of one transaction, because a pooler may give the next one another connection. */
export function settings({
  statementTimeoutMs,
  lockTimeoutMs,
}: Pick<PostgresOptions, 'statementTimeoutMs' | 'lockTimeoutMs'>): string {
  return [
    `SET LOCAL statement_timeout = ${Math.ceil(statementTimeoutMs)}`,
    `SET LOCAL lock_timeout = ${Math.ceil(lockTimeoutMs)}`,
    "SET LOCAL search_path = ''",
  ].join('; ')
}
