import { createPostgresReader, type PostgresReader } from './postgres.ts'

/** The readers of all databases that are watched: one for each URL, opened when it is first asked for. */
export interface PostgresReaders {
  /** Throws CONFIG_INVALID for a URL that is none. */
  of(url: string): PostgresReader
  close(): Promise<void>
}

/** A lock that is waited for longer than this share of the time would use it up. */
const lockShare = 0.5

/** `timeoutMs` bounds one look; the server gives a statement up within it. */
export function createPostgresReaders(timeoutMs: number): PostgresReaders {
  const readers = new Map<string, PostgresReader>()
  return {
    of(url) {
      const known = readers.get(url)
      if (known) return known
      const reader = createPostgresReader({
        url,
        statementTimeoutMs: timeoutMs,
        lockTimeoutMs: timeoutMs * lockShare,
      })
      readers.set(url, reader)
      return reader
    },
    async close() {
      await Promise.all([...readers.values()].map(reader => reader.close()))
    },
  }
}
