import type { MonitoringClient } from '../../clients/monitoring/monitoring.ts'
import type { Clock } from '../../clock.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import type { Config, Stack } from '../../config/config.ts'
import { neverListed, type PlaceState } from '../../drift/places.ts'
import type { CheckError } from '../../drift/state.ts'
import { asDriftwatchError, DriftwatchError, type ErrorCode } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { Identity } from '../identity.ts'
import { type AlertsPlan, inspectAlerts } from './inspect.ts'

/** What a duty works with. */
export interface ReconcilerContext {
  readonly client: MonitoringClient
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  readonly identity: Identity
  readonly signal: AbortSignal
  /** Told of each request to Cloud Monitoring. */
  onRequest(method: string, code: 'OK' | ErrorCode): void
}

/** What came of looking after the policies once. */
export interface ReconcilerResult {
  /** What is not right, in a sentence; null where everything is. */
  readonly problem: string | null
  /** Whether to look again soon rather than in an hour. */
  readonly again: boolean
}

/** Looks after the alert policies, once. Rejects where it could not. */
export type PolicyReconciler = (context: ReconcilerContext) => Promise<ReconcilerResult>

const hourMs = 3_600_000
const soonMs = 300_000
const inspectTimeoutMs = 30_000

/** `alerts.policies: verify`: says what differs, and writes nothing. */
export const verifyPolicies: PolicyReconciler = async ({ client, config, clock, identity, signal }) => {
  const { project, monitor } = identity
  const plan = await withDeadline(clock, inspectTimeoutMs, signal, deadline =>
    inspectAlerts({ client, config, project, monitor }, deadline),
  )
  return { problem: describePlan(plan), again: false }
}

/** What is not right in a sentence, or null: what was `failed` before, and what is still to be done. */
export function describePlan({ steps, problems }: AlertsPlan, failed: readonly string[] = []): string | null {
  const all = [...failed, ...problems, ...steps.map(({ title }) => `to do: ${title}`)]
  if (all.length === 0) return null
  return `${all.join('; ')} (driftwatch alerts plan shows it all)`
}

export interface ReconcilerOptions {
  readonly duty: PolicyReconciler
  readonly context: Omit<ReconcilerContext, 'config' | 'identity' | 'signal'>
  /** The config as it is now, with every stack that is watched. May throw a coded error where that is not known. */
  config(): Config
  identify(signal: AbortSignal): Promise<Identity>
  /** The result is there, or another one. */
  onResult(): void
}

/** Does the duty once it is begun and then every hour; sooner where it failed. */
export function createDuty({ duty, context, config, identify, onResult }: ReconcilerOptions) {
  const { clock, log } = context
  const ending = new AbortController()
  let error: CheckError | null = null
  let running: Promise<void> | null = null

  async function once(): Promise<number> {
    const { signal } = ending
    try {
      const { problem, again } = await duty({ ...context, config: config(), identity: await identify(signal), signal })
      error = problem === null ? null : { code: 'POLICIES_DIFFER', message: problem, at: clock.now() }
      return again ? soonMs : hourMs
    } catch (thrown) {
      const { code, message } = asDriftwatchError(thrown)
      error = { code, message: `the alert policies were not looked after: ${message}`, at: clock.now() }
      return soonMs
    } finally {
      if (!signal.aborted) {
        if (error) log.warn({ code: error.code, error: error.message }, 'the alert policies are not right')
        onResult()
      }
    }
  }

  async function run(): Promise<void> {
    while (!ending.signal.aborted) {
      const pauseMs = await once()
      await clock.sleep(pauseMs, ending.signal).catch(() => {})
    }
  }

  return {
    /** From now on it is done; a second time nothing happens. */
    begin() {
      running ??= run()
    },
    /** What is not right with the policies, or null. */
    error: () => error,
    async close() {
      ending.abort()
      await running
    },
  }
}

/**
 * The config with every stack that is watched. Routes take stacks by their labels: where a place was never listed they
 * would lose those that are there, and UNAVAILABLE, or what kept it from being listed, is thrown.
 */
export function withWatched(config: Config, stacks: readonly Stack[], places: readonly PlaceState[] | null): Config {
  const unlisted = config.alerts.routes.length > 0 ? neverListed(places) : null
  if (unlisted === null) return { ...config, stacks }
  const { project, region, error } = unlisted
  const why = error?.message ?? `nobody has looked into ${project}, ${region} yet`
  throw new DriftwatchError(error?.code ?? 'UNAVAILABLE', `it is not known which stacks there are: ${why}`)
}
