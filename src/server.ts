import type { AddressInfo } from 'node:net'
import type { Channel } from './alerts/channel.ts'
import { channelMethods, openChannels } from './alerts/channels.ts'
import type { PolicyReconciler } from './alerts/policies/policy-reconciler.ts'
import { worstStatus } from './checks/status.ts'
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
import { openAuth } from './http/auth.ts'
import type { Readiness } from './http/routes/health.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import type { ProbeResult } from './probes/observe.ts'
import type { ProbeKind } from './probes/probe.ts'
import { createRenderer, type Rendered } from './report/rendered.ts'
import { createRefresh } from './schedule/refresh.ts'
import { createScheduler, type Scheduler } from './schedule/scheduler.ts'
import { version } from './version.ts'
import { apiMethods, createWatch, type Watch } from './watch.ts'

export interface ServerOptions {
  readonly config: Config
  /** What keeps the alert policies right: handed in by whoever lets the service write them. */
  readonly managePolicies?: PolicyReconciler | null
  readonly environment: Environment
  readonly clock: Clock
  readonly log: CloudLog
  /** The version of Node.js that runs it, as `v24.1.0`. */
  readonly nodeVersion: string
  /** What begins the cycles; the config's schedule unless said. */
  readonly schedule?: typeof createScheduler
}

/** The long-running service: it looks by its schedule, and answers over HTTP what it knows. */
export interface Server {
  /** The port that it listens on. */
  readonly port: number
  /** Runs a cycle now, or joins the one that is under way; resolves when it is over. */
  refresh(): Promise<void>
  /** The config file was read again: what counts from now on, and how it stands. The next cycle begins at once. */
  configRead(config: Config, state: ConfigState): void
  /** Answers what is under way, looks no more, and gives everything back. */
  close(): Promise<void>
}

/** Many monitors should not look at the same instant; none may wait until what it knows is stale. */
const longestJitterMs = 1000

/** What is under way may be answered for so long: a client that sends or reads nothing would hold the end up past Cloud Run's ten seconds. */
const lastAnswersMs = 5000
const cutAgainMs = 100

/** A fleet that is too big for one cycle is looked at on, whatever the schedule: by then there is leave for many calls. */
const catchUpPauseMs = 20_000

function createServiceMetrics({ config, nodeVersion }: ServerOptions): Metrics {
  return createMetrics({
    build: { version, node: nodeVersion },
    apiMethods: { ...apiMethods, monitoring: [...new Set([...apiMethods.monitoring, ...channelMethods(config)])] },
    channels: config.alerts.channels,
  })
}

function countLook(look: ProbeResult<ProbeKind>, metrics: Metrics): void {
  metrics.observeProbe(look.kind, look.durationMs / 1000)
  if (look.outcome === 'failed') metrics.probeFailed(look.kind, look.error.code)
}

/** Listens, then begins to look. Rejects with ADDRESS_UNAVAILABLE where it cannot listen. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { environment, clock, log, schedule = createScheduler } = options
  let { config } = options
  let gapMs = longestGapMs(config.schedule)
  const metrics = createServiceMetrics(options)
  const channels = await openChannels({
    ...options,
    managePolicies: options.managePolicies ?? null,
    stacks: () => watch.stacks(),
    onPublished: metrics.alertPublished,
    onState: () => view.touch(),
    onApiRequest: metrics.apiRequest,
  })
  const watch = createWatch({
    config,
    environment,
    clock,
    log,
    listeners: {
      onLook: look => countLook(look, metrics),
      onApiRequest: metrics.apiRequest,
      onChange(snapshot, transitions) {
        for (const channel of channels) channel.publish(snapshot, transitions)
        view.show(snapshot)
      },
    },
  })
  const googleKeys = createGoogleKeys({ clock })
  let auth = openAuth(config.server.auth, googleKeys)
  let closing = false
  let cancelCatchUp = () => {}
  const view = createView(watch, channels, metrics.update)
  const scheduler = schedule({
    schedule: config.schedule,
    jitterMs: jitterOf(config, gapMs),
    clock,
    log,
    async run() {
      const cycle = await watch.runCycle()
      if (closing) return
      const catchingUp = watch.isCatchingUp()
      cancelCatchUp()
      if (catchingUp) cancelCatchUp = clock.after(catchUpPauseMs, () => void scheduler.runNow())
      metrics.cycleCompleted(cycle.durationMs / 1000, clock.now())
      const { id, durationMs } = cycle
      log.info({ cycle: id, durationMs, ...view.counts(), ...(catchingUp && { catchingUp }) }, 'cycle completed')
    },
  })
  const app = buildApp({
    rendered: view.rendered,
    readiness: () =>
      readiness(
        watch.store.snapshot(watch.clock.now()),
        scheduler,
        gapMs + longestCycleMs(config.timeoutMs) + longestJitterMs,
      ),
    metrics,
    refresh: createRefresh({ scheduler, clock, lastCycle: () => watch.store.snapshot(clock.now()).cycle }),
    auth: () => auth,
    clock,
    log,
  })
  try {
    await app.listen({ host: config.host, port: environment.port })
  } catch (error) {
    await Promise.all([watch.close(), closeAll(channels)])
    throw unavailable(error, config.host, environment.port)
  }
  const { port } = app.server.address() as AddressInfo
  log.info({ version, port, stacks: config.stacks.length, schedule: config.schedule }, 'listening')
  const begun = scheduler.start()
  return {
    port,
    refresh: scheduler.runNow,
    configRead(next, state) {
      watch.store.configRead(state)
      view.show(watch.store.snapshot(watch.clock.now()))
      if (next === config) return
      config = next
      auth = openAuth(config.server.auth, googleKeys)
      gapMs = longestGapMs(config.schedule)
      watch.use(config)
      scheduler.reschedule({ schedule: config.schedule, jitterMs: jitterOf(config, gapMs) })
      // The run that is under way has the config of before.
      void scheduler.runNow().then(() => (closing || watch.isCurrent() ? undefined : scheduler.runNow()))
    },
    async close() {
      closing = true
      cancelCatchUp()
      view.close()
      googleKeys.close()
      let cancelCut = clock.after(lastAnswersMs, function cut() {
        app.server.closeAllConnections()
        // Somebody may have come meanwhile.
        cancelCut = clock.after(cutAgainMs, cut)
      })
      await Promise.all([app.close(), watch.close(), closeAll(channels), scheduler.stop(), begun])
      cancelCut()
    },
  }
}

async function closeAll(channels: readonly Channel[]): Promise<void> {
  await Promise.all(channels.map(channel => channel.close()))
}

/** What is answered: rendered when a cycle ends or a state goes stale, and once more where a channel has news. */
function createView(
  { store, clock, age }: Watch,
  channels: readonly Channel[],
  updateMetrics: (snapshot: Snapshot) => void,
) {
  const render = createRenderer()
  const renderNow = () =>
    render(
      snapshot,
      channels.map(channel => channel.state()),
    )
  let snapshot = store.snapshot(clock.now())
  let rendered: Rendered
  let touched = false
  let cancelTimer = () => {}

  function show(next: Snapshot): void {
    snapshot = next
    rendered = renderNow()
    touched = false
    updateMetrics(next)
    cancelTimer()
    // Without a cycle nobody else would notice that time passes.
    const now = clock.now()
    const staleAt = store.nextStaleAt(now)
    if (staleAt !== null) cancelTimer = clock.after(Math.max(1, staleAt - now), age)
  }

  show(snapshot)
  return {
    show,
    /** A channel has news: the next answer tells it. */
    touch() {
      touched = true
    },
    rendered() {
      if (touched) rendered = renderNow()
      touched = false
      return rendered
    },
    counts: () => countStatuses(snapshot),
    close: () => cancelTimer(),
  }
}

function jitterOf({ staleAfterMs, timeoutMs }: Config, gapMs: number): number {
  return Math.max(0, Math.min(longestJitterMs, gapMs / 10, staleAfterMs - gapMs - timeoutMs - 1))
}

/** For the log: how many checks have each status, and the worst of all. */
function countStatuses({ stacks }: Snapshot) {
  const states = stacks.flatMap(stack => stack.states)
  const of = (status: string) => states.filter(state => state.status === status).length
  return {
    status: worstStatus(states.map(state => state.status)),
    stacks: stacks.length,
    drifted: of('drifted'),
    unknown: of('unknown'),
    pending: of('pending'),
    inSync: of('in_sync'),
  }
}

function readiness({ cycle, stacks }: Snapshot, scheduler: Scheduler, longestSilenceMs: number): Readiness {
  if (cycle === null) return { ready: false, reason: 'the first cycle has not been completed' }
  const waiting = stacks.filter(({ states }) => states.some(isWaiting)).length
  if (waiting > 0) return { ready: false, reason: `${waiting} of ${stacks.length} stacks have not been looked at yet` }
  const silence = scheduler.sinceLastTick()
  if (silence <= longestSilenceMs) return { ready: true }
  return { ready: false, reason: `the last cycle began ${formatDuration(silence)} ago: the scheduler has stopped` }
}

/** The share of the quota was spent before it could be looked at for the first time. */
function isWaiting({ observedAt, error }: State): boolean {
  return observedAt === null && error?.code === 'QUOTA_SPENT'
}

function unavailable(thrown: unknown, host: string, port: number): DriftwatchError {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(thrown)
  const why = {
    EADDRINUSE: 'it is in use: stop what listens there, or set PORT',
    EACCES: 'it is not allowed: set PORT to one above 1023',
  }[code]
  return new DriftwatchError('ADDRESS_UNAVAILABLE', `cannot listen on ${host}:${port}: ${why ?? code}`, {
    cause: thrown,
  })
}
