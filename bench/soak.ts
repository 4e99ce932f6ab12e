import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Handles, Leak, Order, Reply } from './soak-subject.ts'
import { type SoakWorld, startSoakWorld } from './soak-world.ts'

/**
 * `npm run soak`: many cycles of the real service in one process, while the systems drift, recover and fail. Exits with 1
 * if memory or handles have grown at the end, compared with an early cycle.
 */
const { values } = parseArgs({
  options: {
    /** The total number. */
    cycles: { type: 'string', default: '100000' },
    /** After these cycles all caches are filled. */
    baseline: { type: 'string', default: '1000' },
    /** What to leak on purpose: `memory`, `handles` or both. */
    plant: { type: 'string', multiple: true, default: [] },
  },
})

/** The allowed difference at the end. */
const tolerance = 0.1
/** Cycles without a change before a measurement. */
const quietCycles = 10

type Measured = Extract<Reply, { kind: 'measured' }>

interface Subject {
  readonly port: number
  ask(order: Order): Promise<Reply>
  end(): Promise<void>
}

async function main(): Promise<number> {
  const [cycles, baseline] = [Number(values.cycles), Number(values.baseline)]
  const plant = values.plant as Leak[]
  const world = await startSoakWorld(text => console.error(text))
  const subject = await startSubject(world).catch(async error => {
    await world.close()
    throw error
  })
  try {
    await soak(world, subject, { from: 1, to: baseline, plant })
    const before = await measure(world, subject)
    console.log(`cycle ${baseline}: ${describe(before)}`)
    for (let from = baseline + 1; from <= cycles; from += aStep(cycles)) {
      await soak(world, subject, { from, to: Math.min(cycles, from + aStep(cycles) - 1), plant })
      if (from + aStep(cycles) <= cycles)
        console.log(`cycle ${from + aStep(cycles) - 1}: ${describe(await measure(world, subject))}`)
    }
    const after = await measure(world, subject)
    console.log(`cycle ${cycles}: ${describe(after)}`)
    return judge(before, after)
  } finally {
    await subject.end()
    await world.close()
  }
}

/** The number of progress reports. */
function aStep(cycles: number): number {
  return Math.max(500, Math.ceil(cycles / 20))
}

let now = Date.now()

async function soak(
  world: SoakWorld,
  subject: Subject,
  { from, to, plant }: { from: number; to: number; plant: readonly Leak[] },
): Promise<void> {
  for (let cycle = from; cycle <= to; cycle++) {
    await world.churn(cycle, now)
    await runCycle(subject, plant)
    await world.ask(cycle, subject.port)
  }
}

async function runCycle(subject: Subject, plant: readonly Leak[]): Promise<void> {
  const reply = await subject.ask({ kind: 'cycle', plant })
  if (reply.kind === 'cycled') now = reply.now
}

/** Measures an idle state: the same cycles without drift, with one caller. */
async function measure(world: SoakWorld, subject: Subject): Promise<Measured> {
  await world.heal(now)
  for (let cycle = 0; cycle < quietCycles; cycle++) {
    await runCycle(subject, [])
    await world.ask(0, subject.port)
  }
  return (await subject.ask({ kind: 'measure' })) as Measured
}

function judge(before: Measured, after: Measured): number {
  const compared = [
    { what: 'heap', was: before.heapBytes, is: after.heapBytes },
    { what: 'handles', was: total(before.handles), is: total(after.handles) },
  ]
  const broken = compared.filter(({ was, is }) => Math.abs(is - was) > was * tolerance)
  for (const { what, was, is } of compared) {
    const change = ((is / was - 1) * 100).toFixed(1)
    console.log(`${what}: ${was} before, ${is} after (${change} %)`)
  }
  console.log(broken.length === 0 ? 'passed' : `failed: ${broken.map(({ what }) => what).join(', ')}`)
  return broken.length === 0 ? 0 : 1
}

function total(handles: Handles): number {
  return Object.values(handles).reduce((sum, count) => sum + count, 0)
}

function describe({ heapBytes, rssBytes, handles, cpuMs }: Measured): string {
  const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
  const kinds = Object.entries(handles).map(([kind, count]) => `${count} ${kind}`)
  return `heap ${megabytes(heapBytes)}, resident ${megabytes(rssBytes)}, ${total(handles)} handles (${kinds.sort().join(', ')}), ${Math.round(cpuMs / 1000)} s CPU`
}

async function startSubject(world: SoakWorld): Promise<Subject> {
  const child = fork(fileURLToPath(new URL('soak-subject.ts', import.meta.url)), {
    execArgv: ['--expose-gc'],
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      DRIFTWATCH_CONFIG: fileURLToPath(new URL('soak.yaml', import.meta.url)),
      ...world.env,
    },
  })
  const started = await nextReply(child)
  if (started.kind !== 'listening') throw new Error('the service did not start')
  now = started.now
  return {
    port: started.port,
    ask(order) {
      const reply = nextReply(child)
      child.send(order)
      return reply
    },
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      if (child.connected) child.send({ kind: 'end' } satisfies Order)
      await exited
    },
  }
}

async function nextReply(child: ChildProcess): Promise<Reply> {
  const over = new AbortController()
  try {
    const exit = once(child, 'exit', { signal: over.signal }).then(([code]) => {
      throw new Error(`the service exited with code ${code}`)
    })
    const [reply] = await Promise.race([once(child, 'message', { signal: over.signal }), exit])
    return reply
  } finally {
    over.abort()
  }
}

process.exitCode = await main()
