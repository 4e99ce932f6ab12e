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

/** A message to the measured process. */
export type Order =
  | { readonly kind: 'cycle'; readonly plant: readonly Leak[] }
  | { readonly kind: 'measure' }
  | { readonly kind: 'end' }

/** What can be leaked on purpose, to test the detection. */
export type Leak = 'memory' | 'handles'

/** A reply. `now` is the time of its clock, in epoch ms. */
export type Reply =
  | { readonly kind: 'listening'; readonly port: number; readonly now: number }
  | { readonly kind: 'cycled'; readonly now: number }
  | {
      readonly kind: 'measured'
      /** The heap after garbage collection, including buffers. */
      readonly heapBytes: number
      readonly rssBytes: number
      readonly handles: Handles
      /** CPU time since the start. */
      readonly cpuMs: number
    }

/** The active resources of Node.js by kind, and open file descriptors if the system reports them. */
export type Handles = Readonly<Record<string, number>>

/** The time between two cycles. */
const stepMs = 5000
/** During a cycle the clock runs faster, for timers within the cycle. */
const [tickMs, perTickMs] = [10, 100]

const leaked: unknown[] = []

/** The real service with a simulated clock; its cycles start on request. */
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
  // Also if the soak was killed.
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
  if (!gc) throw new Error('measurements require node --expose-gc')
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
  // Connections that do not keep the process alive are not active resources, but have descriptors.
  const descriptors = '/proc/self/fd'
  return existsSync(descriptors) ? { ...counts, descriptors: readdirSync(descriptors).length } : counts
}

await main()
