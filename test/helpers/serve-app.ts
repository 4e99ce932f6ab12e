import { connect } from 'node:net'
import { Writable } from 'node:stream'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import type { Snapshot } from '../../src/drift/store.ts'
import { type AppDependencies, buildApp } from '../../src/http/app.ts'
import type { ScrapedMetrics } from '../../src/http/routes/metrics.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { createRenderer } from '../../src/report/rendered.ts'
import { version } from '../../src/version.ts'
import { buildDriftedState, buildSnapshot, buildStackStates, buildStaleState, buildState, noon } from './states.ts'
import { unhurriedLimits } from './unhurried-limits.ts'

const render = createRenderer()

export const mixed = buildSnapshot({
  stacks: [
    buildStackStates({ states: [buildState({ check: 'service-image' }), buildDriftedState()] }),
    buildStackStates({ name: 'billing' }),
    buildStackStates({ name: 'search', states: [buildStaleState()] }),
    buildStackStates({ name: 'rollout', states: [buildState({ status: 'pending' })] }),
  ],
})

interface Line {
  readonly severity: string
  readonly message: string
  readonly code?: string
  readonly err?: { readonly message: string; readonly stack: string }
}

/** The app on a free port until the test ends, and its log. */
export async function serveApp(t: Test, snapshot: Snapshot = mixed, override: Partial<AppDependencies> = {}) {
  const lines: Line[] = []
  const stream = new Writable({
    write(line, _encoding, done) {
      lines.push(JSON.parse(String(line)))
      done()
    },
  })
  const rendered = render(snapshot)
  const app = buildApp({
    rendered: () => rendered,
    readiness: () => ({ ready: true }),
    metrics: createMetrics({ build: { version, node: process.version } }),
    refresh: async () => ({ id: 7, startedAt: noon, durationMs: 5 }),
    auth: () => null,
    limits: unhurriedLimits,
    clock: systemClock,
    log: createLog({ level: 'debug', clock: systemClock, stream }),
    ...override,
  })
  t.teardown(() => app.close())
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, url, lines, get: (path: string, init?: RequestInit) => fetch(url + path, init) }
}

/** Metrics with only those of the process. */
export function buildScrapedMetrics(runtime: () => Promise<Buffer>): ScrapedMetrics {
  return { contentType: 'text/plain', drift: () => Buffer.alloc(0), runtime }
}

/** The response to these bytes. */
export async function exchange(url: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.end(bytes)
  let answer = ''
  for await (const chunk of socket) answer += chunk
  return answer
}

export const accept = (type: string) => ({ headers: { accept: type } })

/** Enough stacks for a report that is compressed. */
export const fleet = buildSnapshot({
  stacks: Array.from({ length: 30 }, (_, at) => buildStackStates({ name: `stack-${at}`, states: [buildState()] })),
})
