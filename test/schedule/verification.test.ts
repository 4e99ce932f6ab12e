import t from 'tap'
import type { Config } from '../../src/config/config.ts'
import { parseConfig } from '../../src/config/load.ts'
import { createVerification } from '../../src/schedule/verification.ts'
import { createVirtualClock } from '../helpers/virtual-clock.ts'

const second = 1000
const cyclesPerWindow = 20

function configOf(count: number, more: object = {}): Config {
  const stacks = Array.from({ length: count }, (_, at) => ({
    name: `stack-${at}`,
    project: 'acme-project',
    region: at % 2 === 0 ? 'us-central1' : 'europe-west1',
    service: { name: `stack-${at}` },
  }))
  return parseConfig(JSON.stringify({ schedule: '*/30 * * * * *', ...more, stacks }), 'test.yaml', {})
}

function start(config: Config, spareCalls: (place: string) => number = () => 1e6) {
  const clock = createVirtualClock(Date.UTC(2026, 10, 1))
  const verification = createVerification(clock, spareCalls)
  const names = () => [...verification.takeDue(config.stacks, config)].map(({ name }) => name)
  return {
    clock,
    verification,
    names,
    /** The stacks that the next cycles verify, cycle by cycle. */
    run(cycles: number) {
      return Array.from({ length: cycles }, () => {
        clock.advance(30 * second)
        return names()
      })
    },
  }
}

t.test('the first cycle verifies nothing: it keeps nothing from before', async t => {
  t.strictSame(start(configOf(10)).names(), [])
})

t.test('every stack is verified once in verifyEvery, spread over its cycles', async t => {
  for (const count of [1, 7, 20, 100]) {
    const config = configOf(count)
    const { names, run } = start(config)
    names()
    const all = config.stacks.map(({ name }) => name).sort()
    const cycles = run(6 * cyclesPerWindow)
    for (let window = 0; window < 6; window += 1) {
      const verified = cycles.slice(window * cyclesPerWindow, (window + 1) * cyclesPerWindow)
      t.strictSame(verified.flat().sort(), all, `${count} stacks`)
      t.ok(Math.max(...verified.map(({ length }) => length)) <= Math.ceil(count / cyclesPerWindow) + 1)
    }
  }
})

t.test('after a long pause, and with verifyEvery as short as the gap, every stack is verified at once', async t => {
  const { names, clock } = start(configOf(10))
  names()
  clock.advance(3600 * second)
  t.equal(names().length, 10)
  t.strictSame(names(), [], 'once')
  const often = start(configOf(10, { verifyEvery: '30s' }))
  often.names()
  t.strictSame(
    often
      .run(4)
      .map(({ length }) => length)
      .slice(1),
    [10, 10, 10],
  )
  t.strictSame(often.names(), [], 'a cycle on request in between verifies nothing')
})

t.test('a place without spare calls waits, others do not', async t => {
  let spare = 0
  const { names, run } = start(configOf(10), place => (place.includes('europe') ? spare : 1e6))
  names()
  const verified = new Set(run(2 * cyclesPerWindow).flat())
  t.equal(verified.size, 5)
  spare = 9
  const late = run(1)[0] ?? []
  t.ok(late.length <= 2, 'as many as the spare calls allow')
  run(cyclesPerWindow)
  t.strictSame(run(cyclesPerWindow).flat().length, 10)
})

t.test('the oldest verification counts; a failed one does not; removed stacks are forgotten', async t => {
  const config = configOf(2)
  const { verification, names, clock, run } = start(config)
  t.equal(verification.oldest(), null)
  names()
  const first = clock.now()
  t.equal(verification.oldest(), first)
  run(cyclesPerWindow)
  t.equal(verification.oldest(), first)
  const [one, other] = config.stacks as [Config['stacks'][number], Config['stacks'][number]]
  verification.verified(one)
  t.equal(verification.oldest(), first)
  verification.clockSet(5 * second)
  t.equal(verification.oldest(), first + 5 * second)
  verification.takeDue([one], config)
  t.equal(verification.oldest(), clock.now() + 5 * second)
  verification.verified(other)
  t.equal(verification.oldest(), clock.now() + 5 * second)
})

t.test('cycles on request, between those of the schedule, verify nothing', async t => {
  const { names, clock } = start(configOf(1000))
  names()
  for (let cycle = 0; cycle < 10; cycle += 1) {
    clock.advance(second)
    t.strictSame(names(), [])
  }
  clock.advance(20 * second)
  t.equal(names().length, 51, 'the next one of the schedule verifies the share of all of them')
})
