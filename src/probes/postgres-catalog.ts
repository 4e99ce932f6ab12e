import type { PostgresReaders } from '../clients/postgres/postgres-readers.ts'
import type { FairQueue } from '../concurrency/fair-queue.ts'
import type { Doubt } from '../release/doubt.ts'
import type { Probe } from './probe.ts'
import { readCatalog, scopeOf } from './read-catalog.ts'
import { readLedger } from './read-ledger.ts'

/** What of the time for a look the ledger may take: the catalog is read before it, and must not be lost by it. */
const ledgerShare = 0.25

/**
 * Looks at the catalog of the stack's database, and at its ledger of migrations, in one transaction. `timeoutMs` bounds
 * one look.
 */
export function createPostgresCatalogProbe(
  readers: PostgresReaders,
  timeoutMs: number,
  fairQueue: FairQueue,
): Probe<'postgres-catalog'> {
  return {
    kind: 'postgres-catalog',
    turns: fairQueue,
    async observe({ database }, deadline) {
      if (!database) return null
      return readers.of(database.url.reveal()).read(deadline, async session => {
        let rightsDoubt: Doubt | null = null
        const catalog = await readCatalog(session, scopeOf(database), ({ code, message }) => {
          rightsDoubt ??= { code, message }
        })
        const ledger = database.ledger ? await readLedger(session, database.ledger, timeoutMs * ledgerShare) : null
        return { catalog, rightsDoubt, ledger }
      })
    },
  }
}
