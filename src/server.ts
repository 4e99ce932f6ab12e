import type { Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Channel } from './alerts/channel.ts'
import { channelMethods, openChannels } from './alerts/channels.ts'
import type { PolicyReconciler } from './alerts/policies/policy-reconciler.ts'
import { createGoogleKeys } from './clients/google/google-keys.ts'
import type { Clock } from './clock.ts'
import type { CloudLog } from './cloud-log.ts'
import type { Config } from './config/config.ts'
import type { ConfigState } from './config/config-source.ts'
import type { Environment } from './config/environment.ts'
import { longestCycleMs, longestGapMs } from './config/schedule-gap.ts'
import type { State } from './drift/state.ts'
import type { Snapshot } from './drift/store.ts'
import { formatDuration } from './duration.ts'
import { DriftwatchError } from './errors.ts'
import { buildApp } from './http/app.ts'
import { type Auth, createAuth } from './http/auth.ts'
import type { Readiness } from './http/routes/health.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import type { ProbeResult } from './probes/observe.ts'
import type { ProbeKind } from './probes/probe.ts'
import { apiMethods } from './probes/probe-clients.ts'
import { createView } from './report/view.ts'
import { createRefresh } from './schedule/refresh.ts'
import { createScheduler, type Scheduler } from './schedule/scheduler.ts'
import { version } from './version.ts'
import { createWatch } from './watch.ts'

export interface ServerOptions {
  readonly config: Config
  /** Present if the service may write alert policies. */
  readonly managePolicies?: PolicyReconciler | null
  readonly environment: Environment
  readonly clock: Clock
  readonly log: CloudLog
  /** The version of Node.js: `v24.1.0`. */
  readonly nodeVersion: string
  /** Starts the cycles. The default follows the schedule of the config. */
  readonly schedule?: typeof createScheduler
}

/** The long-running service: runs cycles on a schedule, and serves their results over HTTP. */
export interface Server {
  /** The port on which it listens. */
  readonly port: number
  /** Runs a cycle now, or joins the running one. Resolves when it has ended. */
  refresh(): Promise<void>
  /** Applies a configuration that was read again, and runs a cycle if it has changed. */
  configRead(config: Config, state: ConfigState): void
  /** Answers open requests, stops the cycles, and closes everything. */
  close(): Promise<void>
}

/** Spreads the cycles of many monitors. The jitter must not make states stale. */
const longestJitterMs = 1000

/** The time for open requests at shutdown: Cloud Run kills the process after ten seconds. */
const drainMs = 5000
const cutAgainMs = 100

/** If the call quota was too small for a whole cycle, the next one starts after this pause, whatever the schedule. */
const catchUpPauseMs = 20_000

function createServiceMetrics({ config, nodeVersion, clock }: ServerOptions): Metrics {
  return createMetrics({
    build: { version, node: nodeVersion },
    clock,
    apiMethods: { ...apiMethods, monitoring: [...new Set([...apiMethods.monitoring, ...channelMethods(config)])] },
    channels: config.alerts.channels,
  })
}

function countProbe(result: ProbeResult<ProbeKind>, metrics: Metrics): void {
  metrics.observeProbe(result.kind, result.durationMs / 1000)
  if (result.outcome === 'failed') metrics.probeFailed(result.kind, result.error.code)
}

/** Listens, then starts the cycles. Rejects with ADDRESS_UNAVAILABLE if the address is taken or not allowed. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { environment, clock, log, schedule = createScheduler } = options
  const metrics = createServiceMetrics(options)
  const parts = await openParts(options, metrics)
  const { channels, watch, view } = parts
  const googleKeys = createGoogleKeys(clock)
  const settingsOf = (config: Config): Settings => ({
    config,
    gapMs: longestGapMs(config.schedule),
    auth: createAuth(config.server.auth, googleKeys),
  })
  let settings = settingsOf(options.config)
  const cycles = createCycles(options, metrics, parts, () => scheduler.runNow())
  const scheduler = schedule({ ...timingOf(settings), clock, log, run: cycles.run })
  const app = buildApp({
    rendered: view.rendered,
    readiness: () => readiness(watch.store.snapshot(watch.clock.now()), scheduler, maxSilenceMs(settings)),
    metrics,
    refresh: createRefresh({ scheduler, clock, lastCycle: () => watch.store.snapshot(clock.now()).cycle }),
    auth: () => settings.auth,
    clock,
    log,
  })
  const { config } = settings
  try {
    await app.listen({ host: addressOf(config.host), port: environment.port })
  } catch (error) {
    await Promise.all([watch.close(), closeAll(channels)])
    throw unavailable(error, config.host, environment.port)
  }
  const { port } = app.server.address() as AddressInfo
  log.info({ version, port, stacks: config.stacks.length, schedule: config.schedule }, 'listening')
  const started = scheduler.start()
  return {
    port,
    refresh: scheduler.runNow,
    configRead(next, state) {
      watch.store.configRead(state)
      view.show(watch.store.snapshot(watch.clock.now()))
      if (next === settings.config) return
      settings = settingsOf(next)
      watch.use(next)
      scheduler.reschedule(timingOf(settings))
      void cycles.runWithNewConfig()
    },
    async close() {
      cycles.close()
      view.close()
      googleKeys.close()
      const cancelCut = cutConnectionsLater(app.server, clock)
      await Promise.all([app.close(), watch.close(), closeAll(channels), scheduler.stop(), started])
      cancelCut()
    },
  }
}

/** What a new config replaces. */
interface Settings {
  readonly config: Config
  readonly gapMs: number
  readonly auth: Auth | null
}

/** The watch publishes to the channels and the view; these read the watch. */
async function openParts(options: ServerOptions, metrics: Metrics) {
  const { config, environment, clock, log } = options
  const channels = await openChannels({
    ...options,
    managePolicies: options.managePolicies ?? null,
    stacks: () => watch.stacks(),
    onPublished: metrics.alertPublished,
    onState: () => view.channelsChanged(),
    onApiRequest: metrics.apiRequest,
  })
  const watch = createWatch({
    config,
    environment,
    clock,
    log,
    listeners: {
      onProbe: result => countProbe(result, metrics),
      onApiRequest: metrics.apiRequest,
      onCacheMismatch: metrics.cacheMismatch,
      onChange(snapshot, transitions) {
        for (const channel of channels) channel.publish(snapshot, transitions)
        view.show(snapshot)
      },
    },
  })
  const view = createView({
    store: watch.store,
    clock: watch.clock,
    channelStates: () => channels.map(channel => channel.state()),
    onShow: metrics.update,
    onStale: watch.age,
  })
  return { channels, watch, view }
}

/** Runs the cycles of a watch, with extra ones while the quota delays observations. */
function createCycles(
  { clock, log }: ServerOptions,
  metrics: Metrics,
  { watch, view }: Awaited<ReturnType<typeof openParts>>,
  runNow: () => Promise<void>,
) {
  let isClosed = false
  let cancelCatchUp = () => {}
  return {
    async run() {
      const { id, durationMs } = await watch.runCycle()
      if (isClosed) return
      const catchingUp = watch.isCatchingUp()
      cancelCatchUp()
      if (catchingUp) cancelCatchUp = clock.after(catchUpPauseMs, () => void runNow())
      metrics.cycleCompleted(durationMs / 1000, clock.now())
      metrics.verified(watch.oldestVerification())
      log.info({ cycle: id, durationMs, ...view.counts(), ...(catchingUp && { catchingUp }) }, 'cycle completed')
    },
    /** A cycle that is already running still uses the previous config: in that case it runs a second one. */
    async runWithNewConfig() {
      await runNow()
      if (!isClosed && !watch.isCurrent()) await runNow()
    },
    close() {
      isClosed = true
      cancelCatchUp()
    },
  }
}

/** Closes the connections that are still open after `drainMs`, and later ones too, until it is cancelled. */
function cutConnectionsLater(server: Pick<HttpServer, 'closeAllConnections'>, clock: Clock): () => void {
  let cancel = clock.after(drainMs, function cut() {
    server.closeAllConnections()
    cancel = clock.after(cutAgainMs, cut)
  })
  return () => cancel()
}

async function closeAll(channels: readonly Channel[]): Promise<void> {
  await Promise.all(channels.map(channel => channel.close()))
}

function timingOf({ config: { schedule, staleAfterMs, timeoutMs }, gapMs }: Settings) {
  const longestMs = Math.min(longestJitterMs, gapMs / 10, staleAfterMs - gapMs - timeoutMs - 1)
  return { schedule, jitterMs: Math.max(0, longestMs) }
}

function maxSilenceMs({ config, gapMs }: Settings): number {
  return gapMs + longestCycleMs(config.timeoutMs) + longestJitterMs
}

function readiness({ cycle, stacks }: Snapshot, scheduler: Scheduler, maxSilence: number): Readiness {
  if (cycle === null) return { ready: false, reason: 'the first cycle has not completed' }
  const waiting = stacks.filter(({ states }) => states.some(isWaiting)).length
  if (waiting > 0) return { ready: false, reason: `${waiting} of ${stacks.length} stacks have not been probed yet` }
  const silence = scheduler.sinceLastTick()
  if (silence <= maxSilence) return { ready: true }
  return { ready: false, reason: `the scheduler has stopped: the last cycle started ${formatDuration(silence)} ago` }
}

/** The call quota was used up before the first observation. */
function isWaiting({ observedAt, error }: State): boolean {
  return observedAt === null && error?.code === 'QUOTA_SPENT'
}

/** For `localhost`, Fastify would start a second server, for IPv6, without the limits of this one. */
function addressOf(host: string): string {
  return host === 'localhost' ? '127.0.0.1' : host
}

function unavailable(thrown: unknown, host: string, port: number): DriftwatchError {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(thrown)
  const why = {
    EADDRINUSE: 'the address is in use. Stop the process that uses it, or set PORT.',
    EACCES: 'permission denied. Set PORT to a port above 1023.',
  }[code]
  return new DriftwatchError('ADDRESS_UNAVAILABLE', `cannot listen on ${host}:${port}: ${why ?? code}`, {
    cause: thrown,
  })
}
