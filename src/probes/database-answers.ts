import { createBoundedCache } from '../bounded-cache.ts'
import type { PostgresReader } from '../clients/postgres/postgres.ts'
import { type EpochMs, formatTime } from '../clock.ts'
import { DriftwatchError } from '../errors.ts'
import { type DatabaseIdentity, databaseKey } from '../grants/model/identity.ts'
import type { Log } from '../log.ts'

/** Compares each answer of a stack's database with the one before. */
export interface DatabaseAnswers {
  /** Throws STALE if the same database has already given a more recent answer. */
  accept(reader: PostgresReader, stack: string, answer: DatabaseAnswer): void
  /** Moves all times by `ms`, after the wall clock was set by as much. */
  clockSet(ms: number): void
}

interface DatabaseAnswer {
  readonly identity: DatabaseIdentity
  readonly asOf: EpochMs
}

/** The most stacks that share a URL. */
const maxStacks = 10_000

/** What is kept ends with the reader. Stacks that share a database are probed at different moments. */
export function createDatabaseAnswers(log: Log): DatabaseAnswers {
  const latest = new WeakMap<PostgresReader, ReturnType<typeof createBoundedCache<DatabaseAnswer>>>()
  let setByMs = 0

  return {
    accept(reader, stack, { identity, asOf }) {
      const byStack = latest.get(reader) ?? createBoundedCache<DatabaseAnswer>(maxStacks)
      latest.set(reader, byStack)
      const before = byStack.get(stack)
      const answer = { identity, asOf: asOf - setByMs }
      if (before && !isSameServer(before.identity, identity))
        log.info(
          { stack, before: describe(before.identity), after: describe(identity) },
          'database server changed or restarted',
        )
      const isOlder = before && databaseKey(before.identity) === databaseKey(identity) && answer.asOf < before.asOf
      byStack.set(stack, isOlder ? { ...answer, asOf: before.asOf } : answer)
      if (isOlder) throw olderAnswer(asOf, before.asOf + setByMs)
    },
    clockSet(ms) {
      setByMs += ms
    },
  }
}

function isSameServer(one: DatabaseIdentity, other: DatabaseIdentity): boolean {
  return (
    one.systemIdentifier === other.systemIdentifier &&
    one.timeline === other.timeline &&
    one.oid === other.oid &&
    one.startedAt === other.startedAt &&
    one.isReplica === other.isReplica
  )
}

function describe({ systemIdentifier, timeline, oid, isReplica, startedAt }: DatabaseIdentity): object {
  const started = startedAt === null ? null : formatTime(Number(startedAt) * 1000)
  return { systemIdentifier, timeline, databaseOid: oid, role: isReplica ? 'standby' : 'primary', startedAt: started }
}

function olderAnswer(asOf: EpochMs, known: EpochMs): DriftwatchError {
  return new DriftwatchError(
    'STALE',
    `a standby answered with data from ${formatTime(asOf)}, older than an earlier answer (${formatTime(known)}). Check the replication of the standby.`,
  )
}
