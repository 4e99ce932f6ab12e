import { createPostgresReader, type PostgresReader } from './postgres.ts'

/** The readers of all monitored databases: one for each URL, created at first use. */
export interface PostgresReaders {
  /** Throws CONFIG_INVALID for an invalid URL. */
  of(url: string): PostgresReader
  /** Closes the readers of other databases, and all readers if `timeoutMs` has changed. */
  keepOnly(urls: ReadonlySet<string>, timeoutMs: number): void
  close(): Promise<void>
}

/** The share of the timeout that may be spent on waiting for a lock. */
const lockShare = 0.5

/** `timeoutMs` is the timeout of one probe, and of each statement on the server. */
export function createPostgresReaders(timeoutMs: number): PostgresReaders {
  const readers = new Map<string, PostgresReader>()
  const closing = new Set<Promise<void>>()
  let currentTimeoutMs = timeoutMs

  function drop(url: string, reader: PostgresReader): void {
    readers.delete(url)
    const closed = reader.close().finally(() => closing.delete(closed))
    closing.add(closed)
  }

  return {
    of(url) {
      const known = readers.get(url)
      if (known) return known
      const reader = createPostgresReader({
        url,
        statementTimeoutMs: currentTimeoutMs,
        lockTimeoutMs: currentTimeoutMs * lockShare,
      })
      readers.set(url, reader)
      return reader
    },
    keepOnly(urls, nextTimeoutMs) {
      for (const [url, reader] of [...readers])
        if (nextTimeoutMs !== currentTimeoutMs || !urls.has(url)) drop(url, reader)
      currentTimeoutMs = nextTimeoutMs
    },
    async close() {
      for (const [url, reader] of [...readers]) drop(url, reader)
      await Promise.all(closing)
    },
  }
}
