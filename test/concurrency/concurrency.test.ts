import t from 'tap'
import { rejectOnAbort, startDeadline, withDeadline } from '../../src/concurrency/deadline.ts'
import { eventLoopStalled, startEventLoopMonitor } from '../../src/concurrency/event-loop-monitor.ts'
import { createFairQueue } from '../../src/concurrency/fair-queue.ts'
import { createLatestQueue } from '../../src/concurrency/latest-queue.ts'
import { retry } from '../../src/concurrency/retry.ts'
import { createSingleFlight } from '../../src/concurrency/single-flight.ts'
import { DriftwatchError } from '../../src/errors.ts'
import { createVirtualClock } from '../helpers/virtual-clock.ts'

const nextTurn = () => new Promise(resolve => setImmediate(resolve))
const never = () => new Promise<never>(() => {})

t.test('a deadline', async t => {
  const clock = createVirtualClock(0)

  t.test('rejects with DEADLINE_EXCEEDED when its time is up', async t => {
    const late = withDeadline(clock, 90_000, undefined, ({ over }) => over)
    clock.advance(90_000)
    await t.rejects(late, { code: 'DEADLINE_EXCEEDED', message: 'timed out after 1 min 30 s' })
  })

  t.test('rejects with ABORTED at a shutdown', async t => {
    const ending = new AbortController()
    const ended = withDeadline(clock, 1000, ending.signal, ({ over }) => over)
    ending.abort()
    await t.rejects(ended, { code: 'ABORTED', message: 'Driftwatch is shutting down' })
    await t.rejects(startDeadline(clock, 1000, ending.signal).over, { code: 'ABORTED' }, 'also if it began earlier')
  })

  t.test('passes on the reason of the outer deadline', async t => {
    const outer = startDeadline(clock, 1000)
    const inner = startDeadline(clock, 5000, outer.signal)
    clock.advance(1000)
    await t.rejects(inner.over, { code: 'DEADLINE_EXCEEDED', message: 'timed out after 1 s' })
  })

  t.test('ends with a signal that has aborted already', async t => {
    await t.rejects(rejectOnAbort(AbortSignal.abort(new Error('reason'))), { message: 'reason' })
  })
})

t.test('a retry', async t => {
  /** Runs a call that fails with these codes and then succeeds, on a clock that advances while the retry waits. */
  async function run(codes: readonly ('UNAVAILABLE' | 'NOT_FOUND')[], allowedMs = 10_000) {
    const clock = createVirtualClock(0)
    const timeouts: number[] = []
    const result = retry(clock, startDeadline(clock, allowedMs), async timeoutMs => {
      const code = codes[timeouts.length]
      timeouts.push(timeoutMs)
      if (code) throw new DriftwatchError(code, `attempt ${timeouts.length}`)
      return 'done'
    })
    const settled = result.catch((error: DriftwatchError) => error.message)
    for (let turn = 0; turn < 20; turn += 1) {
      await nextTurn()
      if (clock.sleepers() > 0) clock.advance(100)
    }
    return { result: await settled, timeouts, elapsedMs: clock.now() }
  }

  t.test('makes three attempts, with a growing pause, each with 60 % of the remaining time', async t => {
    const { result, timeouts, elapsedMs } = await run(['UNAVAILABLE', 'UNAVAILABLE'])
    t.equal(result, 'done')
    t.equal(timeouts[0], 6000)
    t.ok(timeouts[1] && timeouts[1] >= 5880 && timeouts[1] <= 5940, `${timeouts}`)
    t.ok(elapsedMs >= 300 && elapsedMs <= 700, `${elapsedMs}`)
  })

  t.test('ends with the error of the third attempt', async t => {
    t.match(await run(Array(3).fill('UNAVAILABLE')), { result: 'attempt 3' })
  })

  t.test('does not repeat a call that cannot succeed', async t => {
    t.match(await run(['NOT_FOUND']), { result: 'attempt 1', timeouts: { length: 1 } })
  })

  t.test('ends with the error of the last attempt if the time runs out during a pause', async t => {
    t.match(await run(['UNAVAILABLE', 'UNAVAILABLE'], 50), { result: 'attempt 1', timeouts: { length: 1 } })
  })

  t.test('ends a call that ignores its timeout, at the deadline and at a shutdown', async t => {
    const clock = createVirtualClock(0)
    const late = retry(clock, startDeadline(clock, 1000), never)
    clock.advance(1000)
    await t.rejects(late, { code: 'DEADLINE_EXCEEDED', message: 'timed out after 1 s' })
    const ending = new AbortController()
    const ended = retry(clock, startDeadline(clock, 1000, ending.signal), never)
    ending.abort()
    await t.rejects(ended, { code: 'ABORTED' })
  })
})

t.test('a call that ignores its signal is abandoned at the deadline and on shutdown', async t => {
  const clock = createVirtualClock(0)
  const deaf = () => new Promise<never>(() => {})
  const late = retry(clock, startDeadline(clock, 1000), deaf)
  clock.advance(1000)
  await t.rejects(late, { code: 'DEADLINE_EXCEEDED', message: 'timed out after 1 s' })

  const ending = new AbortController()
  const ended = retry(clock, startDeadline(clock, 1000, ending.signal), deaf)
  ending.abort()
  await t.rejects(ended, { code: 'ABORTED' })
})

t.test('a single flight', async t => {
  const clock = createVirtualClock(0)
  const flights = createSingleFlight<string>()

  t.test('runs once for concurrent callers, up to the latest deadline of them', async t => {
    let starts = 0
    let latest = 0
    const results = [1000, 3000, 2000].map(ms =>
      flights.run('key', startDeadline(clock, ms), async deadline => {
        starts += 1
        await nextTurn()
        latest = deadline.at
        return 'value'
      }),
    )
    t.strictSame(await Promise.all(results), ['value', 'value', 'value'])
    t.equal(starts, 1)
    t.equal(latest, 3000)
    t.equal(await flights.run('key', startDeadline(clock, 1000), async () => 'another'), 'another')
  })

  t.test('is aborted when the last caller has left, with the reason of its deadline', async t => {
    let signal: AbortSignal | undefined
    const run = (ms: number) =>
      flights.run('key', startDeadline(clock, ms), deadline => {
        signal = deadline.signal
        return deadline.over
      })
    const [first, last] = [run(1000), run(2000)]
    clock.advance(1000)
    await t.rejects(first, { code: 'DEADLINE_EXCEEDED' })
    t.equal(signal?.aborted, false)
    clock.advance(1000)
    await t.rejects(last, { code: 'DEADLINE_EXCEEDED' })
    t.match(signal?.reason, { code: 'DEADLINE_EXCEEDED', message: 'timed out after 2 s' })
  })
})

t.test('a fair queue runs 32 tasks at once, and the longest-waiting caller goes first', async t => {
  const clock = createVirtualClock(0)
  const fairQueue = createFairQueue(clock)
  const callers = Array.from({ length: 100 }, (_, index) => `caller-${index}`)
  /** The callers that ran before the deadline, if every task hangs. */
  async function round(seconds: number): Promise<string[]> {
    const deadline = startDeadline(clock, seconds * 1000)
    const begun: string[] = []
    const all = callers.map(caller =>
      fairQueue.run({ caller, deadline, slotMs: 1000 }, async () => {
        begun.push(caller)
        await deadline.over
      }),
    )
    const settled = Promise.allSettled(all)
    const running: number[] = []
    for (let second = 0; second < seconds; second++) {
      await nextTurn()
      running.push(begun.length)
      clock.advance(1000)
    }
    await settled
    t.strictSame(running, [32])
    return begun
  }
  const rounds = [await round(1), await round(1), await round(1), await round(1)]
  t.equal(new Set(rounds.flat()).size, 100, 'every caller runs')
  t.strictSame(rounds[3]?.slice(4), callers.slice(0, 28), 'the longest-waiting callers go first')

  const deadline = startDeadline(clock, 60_000)
  const order: string[] = []
  const hanging = Array.from({ length: 64 }, (_, index) =>
    fairQueue.run({ caller: `hangs-${index}`, deadline, slotMs: 1000 }, () => deadline.over),
  )
  const prompt = fairQueue.run({ caller: 'prompt', deadline, slotMs: 1000 }, async () => order.push('prompt'))
  for (let second = 0; second < 2; second++) {
    await nextTurn()
    clock.advance(1000)
  }
  await prompt
  t.strictSame(order, ['prompt'], 'tasks that hang release their slots')
  clock.advance(60_000)
  t.ok((await Promise.allSettled(hanging)).every(({ status }) => status === 'rejected'))
})

t.test('a latest queue drops a waiting item for a newer one, and pauses between items', async t => {
  const clock = createVirtualClock(0)
  const done: string[] = []
  const work = async ({ name }: { name: string }) => void done.push(`${name} at ${clock.now()}`)
  const queue = createLatestQueue<{ name: string }>({ clock, gapMs: 1000, work })
  queue.put({ name: 'a' })
  queue.put({ name: 'b' })
  await nextTurn()
  await nextTurn()
  queue.put({ name: 'c' })
  clock.advance(1000)
  await nextTurn()
  await nextTurn()
  t.strictSame(done, ['b at 0', 'c at 1000'])
  queue.put({ name: 'd' })
  await queue.close()
  queue.put({ name: 'e' })
  await nextTurn()
  t.equal(done.length, 2, 'a closed queue drops its items')
})

t.test('an event loop monitor counts stalls of more than 250 ms', async t => {
  let now = 0
  let tick = () => {}
  const after = (_ms: number, callback: () => void) => {
    tick = callback
    return () => {}
  }
  const monitor = startEventLoopMonitor({ monotonic: () => now, after })
  const pass = (ms: number) => {
    now += ms
    tick()
  }
  pass(100)
  pass(350)
  t.equal(monitor.stalledMs(), 0)
  now += 1100
  t.equal(monitor.stalledMs(), 1000, 'before the overdue tick')
  tick()
  pass(100)
  t.equal(monitor.stalledMs(), 1000)
  t.match(eventLoopStalled(1000, 5000), {
    code: 'LOOP_BLOCKED',
    message: 'event loop stalled for 1 s of the 5 s allowed. Give the process more CPU.',
  })
})
