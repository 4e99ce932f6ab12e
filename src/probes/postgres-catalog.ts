import type { PostgresReaders } from '../clients/postgres/postgres-readers.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { FairQueue } from '../concurrency/fair-queue.ts'
import { DriftwatchError } from '../errors.ts'
import { databaseKey } from '../grants/model/identity.ts'
import type { UnknownReason } from '../release/unknown-reason.ts'
import type { DatabaseAnswers } from './database-answers.ts'
import type { Probe } from './probe.ts'
import { readCatalog, scopeOf } from './read-catalog.ts'
import { readLedger } from './read-ledger.ts'
import { type Recency, readServer } from './read-server.ts'

/** The share of the time that the ledger may take, so that a slow ledger does not lose the catalog. */
const ledgerShare = 0.25

export interface PostgresCatalogOptions {
  readonly readers: PostgresReaders
  readonly answers: DatabaseAnswers
  readonly clock: Clock
  readonly timeoutMs: number
  readonly queue: FairQueue
}

/** Observes the catalog of the stack's database and its ledger of migrations, in one transaction. */
export function createPostgresCatalogProbe({
  readers,
  answers,
  clock,
  timeoutMs,
  queue,
}: PostgresCatalogOptions): Probe<'postgres-catalog'> {
  return {
    kind: 'postgres-catalog',
    queue,
    async observe({ name, database }, deadline) {
      if (!database) return null
      const at = clock.now()
      const reader = readers.of(database.url.reveal())
      const observed = await reader.read(deadline, async session => {
        let rightsUnknown: UnknownReason | null = null
        const server = await readServer(session)
        const onUnknown = ({ code, message }: UnknownReason) => {
          rightsUnknown ??= { code, message }
        }
        const catalog = await readCatalog(session, scopeOf(database), onUnknown, server)
        const ledger = database.ledger ? await readLedger(session, database.ledger, timeoutMs * ledgerShare) : null
        const { identity, recency } = server
        return { server: { identity, asOf: asOfRecency(recency, at) }, catalog, rightsUnknown, ledger }
      })
      answers.accept(reader, name, { identity: observed.server.identity, asOf: observed.server.asOf ?? at })
      return observed
    },
    originOf: observed => ({
      asOf: observed?.server.asOf ?? null,
      subject: observed && databaseKey(observed.server.identity),
    }),
  }
}

/** Two clocks may differ, so the older of their readings counts. */
function asOfRecency(recency: Recency, at: EpochMs): EpochMs | null {
  if (recency.kind === 'unknown') return null
  if (recency.kind === 'lost')
    throw new DriftwatchError(
      'STALE',
      'a standby answered that is behind its primary and does not say since when. Check the replication of the standby.',
    )
  return recency.kind === 'current' ? at : Math.min(at, recency.replayedAt, at - recency.ageMs)
}
