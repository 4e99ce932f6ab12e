import type { PostgresReaders } from '../clients/postgres/postgres-readers.ts'
import type { FairQueue } from '../concurrency/fair-queue.ts'
import type { UnknownReason } from '../release/unknown-reason.ts'
import type { Probe } from './probe.ts'
import { readCatalog, scopeOf } from './read-catalog.ts'
import { readLedger } from './read-ledger.ts'

/** The share of the time that the ledger may take, so that a slow ledger does not lose the catalog. */
const ledgerShare = 0.25

/** Observes the catalog of the stack's database and its ledger of migrations, in one transaction. */
export function createPostgresCatalogProbe(
  readers: PostgresReaders,
  timeoutMs: number,
  queue: FairQueue,
): Probe<'postgres-catalog'> {
  return {
    kind: 'postgres-catalog',
    queue,
    async observe({ database }, deadline) {
      if (!database) return null
      return readers.of(database.url.reveal()).read(deadline, async session => {
        let rightsUnknown: UnknownReason | null = null
        const catalog = await readCatalog(session, scopeOf(database), ({ code, message }) => {
          rightsUnknown ??= { code, message }
        })
        const ledger = database.ledger ? await readLedger(session, database.ledger, timeoutMs * ledgerShare) : null
        return { catalog, rightsUnknown, ledger }
      })
    },
  }
}
