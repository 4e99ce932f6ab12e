import type { PostgresReader } from '../clients/postgres/postgres.ts'
import { type EpochMs, formatTime } from '../clock.ts'
import { DriftwatchError } from '../errors.ts'
import { type DatabaseIdentity, databaseKey } from '../grants/model/identity.ts'
import type { Log } from '../log.ts'

/** Compares each answer of a database with the one before. */
export interface DatabaseAnswers {
  /** Throws STALE if the same database has already given a more recent answer. */
  accept(reader: PostgresReader, answer: DatabaseAnswer): void
  /** Moves all times by `ms`, after the wall clock was set by as much. */
  clockSet(ms: number): void
}

interface DatabaseAnswer {
  readonly stack: string
  readonly identity: DatabaseIdentity
  readonly asOf: EpochMs
}

/** What is kept belongs to a reader, and ends with it. */
export function createDatabaseAnswers(log: Log): DatabaseAnswers {
  const latest = new WeakMap<PostgresReader, DatabaseAnswer>()
  let setByMs = 0

  return {
    accept(reader, { stack, identity, asOf }) {
      const before = latest.get(reader)
      const answer = { stack, identity, asOf: asOf - setByMs }
      if (before && !isSameServer(before.identity, identity))
        log.info(
          { stack, before: describe(before.identity), after: describe(identity) },
          'database server changed or restarted',
        )
      const isOlder = before && databaseKey(before.identity) === databaseKey(identity) && answer.asOf < before.asOf
      latest.set(reader, isOlder ? { ...answer, asOf: before.asOf } : answer)
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
