import { parsePostgresUrl } from '../../config/postgres-url.ts'
import { type PostgresOptions, settings } from './postgres.ts'
import { createPostgresConnection, type PostgresSession } from './postgres-connection.ts'

/** A database that is changed, by an operator's command only. */
export interface PostgresWriter {
  /** Runs work in one transaction: all of it happens, or nothing. Rejects with a code of ours. */
  write<Value>(signal: AbortSignal, work: (session: PostgresSession) => Promise<Value>): Promise<Value>
  close(): Promise<void>
}

export function createPostgresWriter(options: PostgresOptions): PostgresWriter {
  const connection = createPostgresConnection(parsePostgresUrl(options.url))
  return {
    write: (signal, work) => connection.transact(`BEGIN; ${settings(options)}`, signal, work),
    close: () => connection.close(),
  }
}
