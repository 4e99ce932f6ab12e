import { createPostgresReader, type PostgresReader } from './postgres.ts'

/** The readers of all databases that are watched: one for each URL, opened when it is first asked for. */
export interface PostgresReaders {
  /** Throws CONFIG_INVALID for a URL that is none. */
  of(url: string): PostgresReader
  /** Closes those of other databases, and all that allow another time. */
  keepOnly(urls: ReadonlySet<string>, timeoutMs: number): void
  close(): Promise<void>
}

/** A lock that is waited for longer than this share of the time would use it up. */
const lockShare = 0.5

/** `timeoutMs` bounds one look; the server gives a statement up within it. */
export function createPostgresReaders(timeoutMs: number): PostgresReaders {
  const readers = new Map<string, PostgresReader>()
  const closing = new Set<Promise<void>>()
  let allowedMs = timeoutMs

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
        statementTimeoutMs: allowedMs,
        lockTimeoutMs: allowedMs * lockShare,
      })
      readers.set(url, reader)
      return reader
    },
    keepOnly(urls, nowAllowedMs) {
      for (const [url, reader] of [...readers]) if (nowAllowedMs !== allowedMs || !urls.has(url)) drop(url, reader)
      allowedMs = nowAllowedMs
    },
    async close() {
      for (const [url, reader] of [...readers]) drop(url, reader)
      await Promise.all(closing)
    },
  }
}
