import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { startDeadline } from '../../src/concurrency/deadline.ts'
import { parseConfig } from '../../src/config/load.ts'
import { observe } from '../../src/probes/observe.ts'
import { buildConfig } from '../helpers/config-text.ts'

t.test('a probe that does not finish in time names itself, the stack, its place and the limit', async t => {
  const [stack] = parseConfig(buildConfig({}), '', {}).stacks
  if (!stack) throw new Error('the configuration has a stack')
  // The timer of a deadline alone does not keep the process running.
  const running = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(running))
  const { signal: ending } = new AbortController()
  const timeoutMs = 50
  const deadline = startDeadline(systemClock, timeoutMs, ending)
  const probe = { kind: 'lanes', observe: () => new Promise<never>(() => {}) } as const
  const options = {
    clock: systemClock,
    timeoutMs,
    ending,
    deadline,
    overAt: deadline.at,
    eventLoop: { stalledMs: () => 0, stop() {} },
  }
  const { name, project, region } = stack
  t.match(await observe(probe, stack, options), {
    outcome: 'failed',
    error: {
      code: 'DEADLINE_EXCEEDED',
      message: `the lanes probe of "${name}" (${project}, ${region}) timed out after 50 ms`,
    },
  })
})
