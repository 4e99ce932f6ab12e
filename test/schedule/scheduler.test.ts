import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import { createRefresh } from '../../src/schedule/refresh.ts'
import { createScheduler } from '../../src/schedule/scheduler.ts'
import { startTimetable } from '../../src/schedule/timetable.ts'
import { captureLog } from '../helpers/capture-log.ts'
import { createAdvancedClock } from '../helpers/clock.ts'
import { until } from '../helpers/until.ts'

const day = 86_400_000

t.test('the scheduler', async t => {
  const everySecond = (run: () => Promise<void>, log = captureLog()) => ({
    log,
    scheduler: createScheduler({
      schedule: '* * * * * *',
      jitterMs: 0,
      clock: systemClock,
      log: createLog({ level: 'info', clock: systemClock, stream: log.stream }),
      run,
    }),
  })

  t.test('runs at once, then by the schedule, and continues after a run that throws', async t => {
    let runs = 0
    const { scheduler, log } = everySecond(async () => {
      runs += 1
      if (runs === 1) throw new Error('the first one fails')
    })
    await scheduler.start()
    t.equal(runs, 1)
    t.match(log.lines(), [{ severity: 'ERROR', message: 'cycle failed', err: { message: 'the first one fails' } }])
    await until(() => runs >= 2)
    await scheduler.stop()
    t.ok(scheduler.sinceLastTick() < 60_000)
  })

  t.test('never runs twice at once, and stops only after the current run', async t => {
    let running = 0
    let most = 0
    let release = () => {}
    const { scheduler, log } = everySecond(async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise<void>(resolve => {
        release = resolve
      })
      running -= 1
    })
    const first = scheduler.start()
    await until(() => log.lines().length > 0)
    t.match(log.lines()[0], { severity: 'WARNING' })
    const stopped = scheduler.stop().then(() => running)
    release()
    t.equal(await stopped, 0)
    await first
    t.equal(most, 1)
  })

  /** Sets the system clock, also for node-cron. */
  function setClock(aheadMs: number): () => void {
    const Real = globalThis.Date
    class Shifted extends Real {
      constructor(given: number = Real.now() + aheadMs) {
        super(given)
      }

      static override now(): number {
        return Real.now() + aheadMs
      }
    }
    globalThis.Date = Shifted as unknown as DateConstructor
    return () => {
      globalThis.Date = Real
    }
  }

  for (const [what, aheadMs] of [
    ['back by an hour', -3_600_000],
    ['forward by an hour', 3_600_000],
    ['forward by 50 years', 50 * 365 * day],
  ] as const) {
    t.test(`continues when the clock is set ${what}, and logs no missed runs`, async t => {
      let runs = 0
      const { scheduler, log } = everySecond(async () => {
        runs += 1
      })
      await scheduler.start()
      const restore = setClock(aheadMs)
      t.teardown(restore)
      await until(() => runs >= 3)
      restore()
      await scheduler.stop()
      t.strictSame(log.lines(), [])
    })
  }

  t.test('notices within a minute that the clock was set past its next run', async t => {
    const waiter = createAdvancedClock()
    let runs = 0
    const timetable = startTimetable({ schedule: '0 0 1 1 *', jitterMs: 0, waiter, onDue: () => runs++ })
    t.teardown(() => timetable.close())
    waiter.advance(61_000)
    t.equal(runs, 0)
    t.teardown(setClock(366 * day))
    waiter.advance(61_000)
    t.equal(runs, 1)
  })
})

t.test('the refresh', async t => {
  /** A scheduler whose runs end on request. */
  function build() {
    const runs: { end(completes?: boolean): void }[] = []
    let [running, now, lastTick, completed]: [Promise<void> | null, number, number, number] = [null, 0, -1, 0]
    const runNow = (): Promise<void> => {
      if (running) return running
      lastTick = now
      const { promise, resolve } = Promise.withResolvers<void>()
      running = promise
      runs.push({
        end(completes = true) {
          if (completes) completed += 1
          running = null
          resolve()
        },
      })
      return promise
    }
    const refresh = createRefresh({
      scheduler: { runNow, sinceLastTick: () => now - lastTick },
      clock: { monotonic: () => now },
      lastCycle: () => (completed === 0 ? null : { id: completed, startedAt: 0, durationMs: 5 }),
    })
    const later = () => {
      now += 1000
    }
    return { refresh, runNow, runs, later }
  }
  const settled = () => new Promise(resolve => setImmediate(resolve))

  t.test('runs a cycle that all callers share', async t => {
    const { refresh, runs } = build()
    const answers = [refresh(), refresh()]
    t.equal(runs.length, 1)
    runs[0]?.end()
    t.same(
      (await Promise.all(answers)).map(({ id }) => id),
      [1, 1],
    )
    t.equal(runs.length, 1)
  })

  t.test('waits for the cycle after a running one, and all callers share it', async t => {
    const { refresh, runNow, runs, later } = build()
    void runNow()
    later()
    const answers = [refresh(), refresh()]
    later()
    answers.push(refresh())
    runs[0]?.end()
    await settled()
    t.equal(runs.length, 2)
    later()
    runs[1]?.end()
    t.same(
      (await Promise.all(answers)).map(({ id }) => id),
      [2, 2, 2],
    )
    t.equal(runs.length, 2)
  })

  t.test('rejects with CYCLE_FAILED if no cycle completes', async t => {
    const { refresh, runNow, runs, later } = build()
    const failed = refresh()
    runs[0]?.end(false)
    await t.rejects(failed, { code: 'CYCLE_FAILED' })
    void runNow()
    later()
    const after = refresh()
    runs[1]?.end()
    await settled()
    runs[2]?.end(false)
    await t.rejects(after, { code: 'CYCLE_FAILED' }, 'the cycle before it does not count')
  })
})
