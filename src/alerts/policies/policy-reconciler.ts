import type { Config, Stack } from '../../config/config.ts'
import { neverListed, type PlaceState } from '../../drift/places.ts'
import type { CheckError } from '../../drift/state.ts'
import { asDriftwatchError, DriftwatchError, type ErrorCode } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { Identity } from '../identity.ts'
import { type AlertsPlan, type InspectOptions, inspectAlerts } from './inspect.ts'

/** The dependencies of a reconciler. */
export interface ReconcilerContext extends InspectOptions {
  readonly log: Log
  readonly identity: Identity
  /** Called for each request to Cloud Monitoring. */
  onRequest(method: string, code: 'OK' | ErrorCode): void
}

export interface ReconcilerResult {
  /** The differences, in one sentence; null if there are none. */
  readonly problem: string | null
  /** Whether to run again soon rather than in an hour. */
  readonly again: boolean
}

/** Compares the alert policies with the configuration once, and may fix them. Rejects if that failed. */
export type PolicyReconciler = (context: ReconcilerContext) => Promise<ReconcilerResult>

const hourMs = 3_600_000
const soonMs = 300_000

/** `alerts.policies: verify`: reports differences, and writes nothing. */
export const verifyPolicies: PolicyReconciler = async context => {
  return { problem: describePlan(await inspectAlerts(context, context.identity)), again: false }
}

/** The remaining differences in one sentence, or null; `failed` lists steps that have failed. */
export function describePlan({ steps, problems }: AlertsPlan, failed: readonly string[] = []): string | null {
  const all = [...failed, ...problems, ...steps.map(({ title }) => `needed: ${title}`)]
  if (all.length === 0) return null
  return `${all.join('; ')} (run "driftwatch alerts plan" for details)`
}

export interface ReconcilerOptions {
  readonly reconcile: PolicyReconciler
  readonly context: Omit<ReconcilerContext, 'config' | 'identity' | 'signal'>
  /** The current configuration with every watched stack. Throws a DriftwatchError if the stacks are not known yet. */
  config(): Config
  identify(signal: AbortSignal): Promise<Identity>
  /** A run ended; `error` may have changed. */
  onResult(): void
}

/** Runs the reconciler once started and then every hour; sooner after a failure. */
export function createReconcileLoop({ reconcile, context, config, identify, onResult }: ReconcilerOptions) {
  const { clock, log } = context
  const ending = new AbortController()
  let error: CheckError | null = null
  let running: Promise<void> | null = null

  async function once(): Promise<number> {
    const { signal } = ending
    try {
      const wanted = { config: config(), identity: await identify(signal) }
      const { problem, again } = await reconcile({ ...context, ...wanted, signal })
      error = problem === null ? null : { code: 'POLICIES_DIFFER', message: problem, at: clock.now() }
      return again ? soonMs : hourMs
    } catch (thrown) {
      const { code, message } = asDriftwatchError(thrown)
      error = { code, message: `alert policies could not be verified: ${message}`, at: clock.now() }
      return soonMs
    } finally {
      if (!signal.aborted) {
        if (error) log.warn({ code: error.code, error: error.message }, 'alert policies differ from the configuration')
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
    /** Idempotent. */
    start() {
      running ??= run()
    },
    /** The result of the last run, or null. */
    error: () => error,
    async close() {
      ending.abort()
      await running
    },
  }
}

/**
 * The configuration with every watched stack. Routes select stacks by label, so with routes this throws if a place was
 * never listed: its stacks would be removed from their routes.
 */
export function withWatchedStacks(
  config: Config,
  stacks: readonly Stack[],
  places: readonly PlaceState[] | null,
): Config {
  const unlisted = config.alerts.routes.length > 0 ? neverListed(places) : null
  if (unlisted === null) return { ...config, stacks }
  const { project, region, error } = unlisted
  const reason = error?.message ?? `${project}, ${region} has not been listed yet`
  throw new DriftwatchError(error?.code ?? 'UNAVAILABLE', `cannot list the stacks to route: ${reason}`)
}
