import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import { buildApp } from '../../src/http/app.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { createRenderer } from '../../src/report/rendered.ts'
import { version } from '../../src/version.ts'
import { buildSnapshot, buildStackStates, buildState, noon } from './states.ts'
import { unhurriedLimits } from './unhurried-limits.ts'

/** The app with a report of a large fleet, in a process of its own. It reports its port, and its memory when asked. */
const snapshot = buildSnapshot({
  stacks: Array.from({ length: 1000 }, (_, at) => buildStackStates({ name: `stack-${at}`, states: [buildState()] })),
})
const rendered = createRenderer()(snapshot)
const metrics = createMetrics({ build: { version, node: process.version } })
metrics.update(snapshot)
const app = buildApp({
  rendered: () => rendered,
  readiness: () => ({ ready: true }),
  metrics,
  refresh: async () => ({ id: 7, startedAt: noon, durationMs: 5 }),
  auth: () => null,
  limits: unhurriedLimits,
  clock: systemClock,
  log: createLog({ level: 'silent', clock: systemClock }),
})
const url = await app.listen({ port: 0, host: '127.0.0.1' })
process.on('message', () => {
  globalThis.gc?.()
  process.send?.({
    mem: process.memoryUsage(),
    rss: process.memoryUsage.rss(),
    peak: process.resourceUsage().maxRSS * 1024,
  })
})
process.on('disconnect', () => process.exit())
process.send?.({ url })
