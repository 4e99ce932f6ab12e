import t from 'tap'
import { createPostgresReader } from '../../src/clients/postgres/postgres.ts'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import type { DatabaseIdentity } from '../../src/grants/model/identity.ts'
import { createDatabaseAnswers } from '../../src/probes/database-answers.ts'
import { captureLog } from '../helpers/capture-log.ts'
import { primary } from '../helpers/governed-database.ts'

const minute = 60_000
const noon = Date.UTC(2026, 10, 3, 12)

function build() {
  const { stream, lines } = captureLog()
  const answers = createDatabaseAnswers(createLog({ level: 'info', clock: systemClock, stream }))
  // It connects at the first read, and nothing is read here.
  const reader = createPostgresReader({ url: 'postgres://me@127.0.0.1:1/app', statementTimeoutMs: 1, lockTimeoutMs: 1 })
  const accept = (stack: string, minutes: number, change: Partial<DatabaseIdentity> = {}) =>
    answers.accept(reader, stack, { identity: { ...primary.identity, ...change }, asOf: noon + minutes * minute })
  return { accept, clockSet: answers.clockSet, lines }
}

t.test('an answer that is older than an earlier one of the same database is STALE', async t => {
  const { accept } = build()
  const standby = { isReplica: true, startedAt: '2.000000' }
  const isStale = {
    code: 'STALE',
    message: /data from 2026-11-03T11:5\d:00\.000Z, older than an earlier answer \(2026-11-03T12:00:00\.000Z\)/,
  }
  accept('one', 0)
  t.throws(() => accept('one', -1, standby), isStale)
  t.throws(() => accept('one', -2, { ...standby, timeline: 2 }), isStale, 'and stays so')
  accept('one', 0, standby)
  accept('two', -1, standby)
  accept('one', -1, { ...standby, systemIdentifier: '8' })
  accept('two', -2, { oid: 2 })
  t.pass('other stacks and other databases have answers of their own')
})

t.test('a wall clock that is set makes no answer older', async t => {
  const { accept, clockSet } = build()
  accept('one', 0)
  clockSet(-60 * minute)
  accept('one', -59)
  t.throws(() => accept('one', -61), { code: 'STALE' })
})

t.test('every change of the server is logged once, with its identity', async t => {
  const { accept, lines } = build()
  const changes: Partial<DatabaseIdentity>[] = [
    { startedAt: '60.500000' },
    { startedAt: '60.500000', timeline: 2 },
    { startedAt: '60.500000', timeline: 2, isReplica: true },
    { startedAt: null, timeline: null, systemIdentifier: null },
  ]
  accept('one', 0)
  for (const [index, change] of changes.entries()) {
    accept('one', index + 1, change)
    accept('one', index + 1, change)
  }
  t.match(lines(), [
    { message: 'database server changed or restarted', stack: 'one', after: { startedAt: '1970-01-01T00:01:00.500Z' } },
    { before: { timeline: 1 }, after: { timeline: 2 } },
    { before: { role: 'primary' }, after: { role: 'standby' } },
    { after: { systemIdentifier: null, timeline: null, databaseOid: 1, role: 'primary', startedAt: null } },
  ])
  t.equal(lines().length, 4)
})
