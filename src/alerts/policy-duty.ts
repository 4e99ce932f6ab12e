import { within } from '../clients/attempts.ts'
import type { MonitoringClient } from '../clients/monitoring.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import type { FailedLook } from '../drift/state.ts'
import { asDriftwatchError, type ErrorCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Identity } from './identity.ts'
import { type AlertsPlan, inspectAlerts } from './inspect.ts'

/** What a duty works with. */
export interface DutyContext {
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
export interface DutyResult {
  /** What is not right, in a sentence; null where everything is. */
  readonly problem: string | null
  /** Whether to look again soon rather than in an hour. */
  readonly again: boolean
}

/** Looks after the alert policies, once. Rejects where it could not. */
export type PolicyDuty = (context: DutyContext) => Promise<DutyResult>

const hourMs = 3_600_000
const soonMs = 300_000
const inspectTimeoutMs = 30_000

/** `alerts.policies: verify`: says what differs, and writes nothing. */
export const verifyPolicies: PolicyDuty = async ({ client, config, clock, identity, signal }) => {
  const { project, monitor } = identity
  const plan = await within(clock, inspectTimeoutMs, signal, deadline =>
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

export interface DutyOptions {
  readonly duty: PolicyDuty
  readonly context: Omit<DutyContext, 'identity' | 'signal'>
  identify(signal: AbortSignal): Promise<Identity>
  /** The result is there, or another one. */
  onResult(): void
}

/** Does the duty at once and then every hour; sooner where it failed. */
export function startDuty({ duty, context, identify, onResult }: DutyOptions) {
  const { clock, log } = context
  const ending = new AbortController()
  let error: FailedLook | null = null

  async function once(): Promise<number> {
    const { signal } = ending
    try {
      const { problem, again } = await duty({ ...context, identity: await identify(signal), signal })
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

  const running = run()
  return {
    /** What is not right with the policies, or null. */
    error: () => error,
    async close() {
      ending.abort()
      await running
    },
  }
}
