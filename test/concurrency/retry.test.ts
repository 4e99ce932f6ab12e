import t from 'tap'
import { startDeadline } from '../../src/concurrency/deadline.ts'
import { retry } from '../../src/concurrency/retry.ts'
import { createVirtualClock } from '../helpers/virtual-clock.ts'

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
