import type { Deadline } from '../../concurrency/deadline.ts'
import { parsePostgresUrl } from '../../config/postgres-url.ts'
import { type PostgresOptions, settings } from './postgres.ts'
import { createPostgresConnection, type PostgresSession } from './postgres-connection.ts'

/** Write access to one database, for operator commands only. */
export interface PostgresWriter {
  /** Runs work in one transaction. Rejects with a coded error. */
  write<Value>(deadline: Deadline, work: (session: PostgresSession) => Promise<Value>): Promise<Value>
  close(): Promise<void>
}

export function createPostgresWriter(options: PostgresOptions): PostgresWriter {
  const connection = createPostgresConnection(parsePostgresUrl(options.url))
  return {
    write: (deadline, work) => connection.transact(`BEGIN; ${settings(options)}`, deadline, work),
    close: () => connection.close(),
  }
}
