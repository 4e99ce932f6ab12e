import { existsSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { createLog } from '../src/cloud-log.ts'
import { readEnvironment } from '../src/config/environment.ts'
import { loadConfig } from '../src/config/load.ts'
import type { SchedulerOptions } from '../src/schedule/scheduler.ts'
import { startServer } from '../src/server.ts'
import { createVirtualClock } from '../test/helpers/virtual-clock.ts'

/** What the soak tells the process that it soaks. */
export type Order =
  | { readonly kind: 'cycle'; readonly plant: readonly Leak[] }
  | { readonly kind: 'measure' }
  | { readonly kind: 'end' }

/** What can be leaked on purpose, to see that it is noticed. */
export type Leak = 'memory' | 'handles'

/** What it answers. `now` is its clock's, in epoch milliseconds. */
export type Reply =
  | { readonly kind: 'listening'; readonly port: number; readonly now: number }
  | { readonly kind: 'cycled'; readonly now: number }
  | {
      readonly kind: 'measured'
      /** Of JavaScript, after garbage collection, with the buffers that hang on it. */
      readonly heapBytes: number
      readonly rssBytes: number
      readonly handles: Handles
      /** Of processor time since the start. */
      readonly cpuMs: number
    }

/** What Node.js says is active, by its kind, and the file descriptors that are open, where the system tells. */
export type Handles = Readonly<Record<string, number>>

/** So much time passes from one cycle to the next. */
const stepMs = 5000
/** While a cycle goes on, its clock runs too, some times as fast: for whatever in it waits. */
const [tickMs, perTickMs] = [10, 100]

const leaked: unknown[] = []

/** The real service, whose cycles begin when they are told to, on a clock that moves from cycle to cycle. */
async function main(): Promise<void> {
  const clock = createVirtualClock(Date.now())
  const environment = readEnvironment()
  const log = createLog({ level: 'info', clock, stream: discard() })
  const config = loadConfig({ file: environment.configFile, environment })
  let run: SchedulerOptions['run'] = async () => {}
  let lastTick = clock.monotonic()
  const service = await startServer({
    config,
    environment,
    clock,
    log,
    nodeVersion: process.version,
    schedule(options) {
      run = options.run
      const sinceLastTick = () => clock.monotonic() - lastTick
      return { start: run, runNow: run, reschedule: () => {}, stop: async () => {}, sinceLastTick }
    },
  })

  async function cycle(plant: readonly Leak[]): Promise<void> {
    clock.advance(stepMs)
    lastTick = clock.monotonic()
    let isOver = false
    const running = run().finally(() => {
      isOver = true
    })
    const ticking = setInterval(() => isOver || clock.advance(perTickMs), tickMs)
    await running
    clearInterval(ticking)
    if (plant.includes('memory')) leaked.push(new Array(60_000).fill(leaked.length))
    if (plant.includes('handles')) leaked.push(connect(service.port, '127.0.0.1'))
  }

  process.on('message', (order: Order) => {
    if (order.kind === 'cycle') void cycle(order.plant).then(() => reply({ kind: 'cycled', now: clock.now() }))
    else if (order.kind === 'measure') void measure().then(reply)
    else void service.close().then(() => process.disconnect())
  })
  // Also where the soak was killed.
  process.on('disconnect', () => process.exit())
  reply({ kind: 'listening', port: service.port, now: clock.now() })
}

function reply(message: Reply): void {
  process.send?.(message)
}

function discard(): PassThrough {
  return new PassThrough().resume()
}

async function measure(): Promise<Reply> {
  const { gc } = globalThis
  if (!gc) throw new Error('measuring needs node --expose-gc')
  for (let round = 0; round < 3; round++) {
    await delay(20)
    gc()
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  return {
    kind: 'measured',
    heapBytes: heapUsed + external,
    rssBytes: rss,
    handles: countHandles(),
    cpuMs: Math.round((user + system) / 1000),
  }
}

function countHandles(): Handles {
  const active = Map.groupBy(process.getActiveResourcesInfo(), kind => kind)
  const counts = Object.fromEntries([...active].map(([kind, all]) => [kind, all.length]))
  // Connections that do not keep the process alive are no active resources, and descriptors all the same.
  const descriptors = '/proc/self/fd'
  return existsSync(descriptors) ? { ...counts, descriptors: readdirSync(descriptors).length } : counts
}

await main()
