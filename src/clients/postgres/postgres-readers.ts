import type { Clock } from '../../clock.ts'
import { createPostgresReader, type PostgresReader } from './postgres.ts'

/** The readers of all monitored databases: one for each URL, created at first use. */
export interface PostgresReaders {
  /** Throws CONFIG_INVALID for an invalid URL. */
  of(url: string): PostgresReader
  /** The next read of this database opens a new connection. */
  expire(url: string): void
  /** Closes the readers of other databases, and all readers if the limits have changed. */
  keepOnly(urls: ReadonlySet<string>, limits: ReaderLimits): void
  close(): Promise<void>
}

export interface ReaderLimits {
  /** The timeout of one probe, and of each statement on the server. */
  readonly timeoutMs: number
  /** No connection is used for longer. */
  readonly verifyEveryMs: number
}

/** The share of the timeout that may be spent on waiting for a lock. */
const lockShare = 0.5

export function createPostgresReaders(clock: Clock, limits: ReaderLimits): PostgresReaders {
  const readers = new Map<string, PostgresReader>()
  const closing = new Set<Promise<void>>()
  let { timeoutMs, verifyEveryMs } = limits

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
        statementTimeoutMs: timeoutMs,
        lockTimeoutMs: timeoutMs * lockShare,
        lifetime: { clock, maxMs: verifyEveryMs },
      })
      readers.set(url, reader)
      return reader
    },
    expire(url) {
      readers.get(url)?.expire()
    },
    keepOnly(urls, next) {
      const isChanged = next.timeoutMs !== timeoutMs || next.verifyEveryMs !== verifyEveryMs
      for (const [url, reader] of [...readers]) if (isChanged || !urls.has(url)) drop(url, reader)
      timeoutMs = next.timeoutMs
      verifyEveryMs = next.verifyEveryMs
    },
    async close() {
      for (const [url, reader] of [...readers]) drop(url, reader)
      await Promise.all(closing)
    },
  }
}
