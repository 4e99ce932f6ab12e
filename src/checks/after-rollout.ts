import { formatTime } from '../clock.ts'
import type { AfterRolloutConfig } from '../config/sections/after-rollout.ts'
import { formatDuration } from '../duration.ts'
import type { Rollout, ServiceTelemetry, Window } from '../release/rollout-telemetry.ts'
import type { Check, CheckInput } from './check.ts'
import { cannotJudge, conclude, concludePart, differs, type Finding, inSync, type Part } from './finding.ts'

type Input = CheckInput<'telemetry'>

/** No watched service returns more 5xx responses, or writes more ERROR logs, than in an equal time before the rollout. */
export const afterRollout: Check<'telemetry'> = {
  kind: 'after-rollout',
  needs: ['telemetry'],
  appliesTo: stack => stack.afterRollout !== null,
  judge(input) {
    const { stack, observed } = input
    const { telemetry } = observed
    const config = stack.afterRollout as AfterRolloutConfig
    if (!telemetry) return dependsOnService(`service ${stack.service.name} does not exist`)
    const { rollout, window } = telemetry
    if (rollout === null) return dependsOnService(`no revision of service ${stack.service.name} receives traffic`)
    if (!window) return concludePart(tooSoon(input, rollout.readyAt, config))
    return judgeWindow(input, rollout, window, telemetry.services, config)
  },
}

function dependsOnService(problem: string): Finding {
  return concludePart(cannotJudge({ code: 'DEPENDS_ON', message: `${problem}; see service-image` }))
}

/** The age at which a rollout has its first complete minute, at the latest. */
function judgeableAfterMs({ delayMs }: AfterRolloutConfig): number {
  return delayMs + 120_000
}

function tooSoon({ observedAt }: Input, rolloutAt: number, config: AfterRolloutConfig): Part {
  const age = formatDuration(Math.max(0, observedAt - rolloutAt))
  const message = `the rollout is ${age} old and can be judged after ${formatDuration(judgeableAfterMs(config))}`
  return cannotJudge({ code: 'TOO_SOON', message }, 'pending')
}

function judgeWindow(
  input: Input,
  rollout: Rollout,
  window: Window,
  services: readonly ServiceTelemetry[],
  config: AfterRolloutConfig,
): Finding {
  const { stack } = input
  const span = `in the ${formatDuration(window.to - window.from)} before ${formatTime(window.to)}`
  const quiet = (service: string): Part | null =>
    service === stack.service.name && input.observedAt - rollout.touchedAt < judgeableAfterMs(config)
      ? tooSoon(input, rollout.touchedAt, config)
      : null
  const judged = services.flatMap(each => [
    ...judgeErrors(each, span, config),
    judgeTraffic(each, span, config, () => quiet(each.service)),
  ])
  return conclude(
    [...judged, ...notObserved(services, config)],
    `${services.map(describeCounts).join('; ')} (${span}).`,
  )
}

function notObserved(services: readonly ServiceTelemetry[], config: AfterRolloutConfig): Part[] {
  return config.services
    .filter(wanted => !services.some(({ service }) => service === wanted))
    .map(wanted => cannotJudge({ code: 'BUG', message: `telemetry of service ${wanted} was not read` }))
}

function describeCounts({ service, after: { requests, serverErrors, errorLogs } }: ServiceTelemetry): string {
  return `${service}: ${count(requests, 'request')}, ${count(serverErrors, 'server error')}, ${count(errorLogs, 'ERROR log')}`
}

/** `1 request`, `1,230 requests`. */
function count(amount: number, noun: string): string {
  return `${amount.toLocaleString('en-US')} ${noun}${amount === 1 ? '' : 's'}`
}

function judgeErrors({ service, after, before }: ServiceTelemetry, span: string, config: AfterRolloutConfig): Part[] {
  const noBaseline = before.requests === 0 && before.errorLogs === 0
  const judge = (what: 'serverErrors' | 'errorLogs', noun: string, allowed: number): Part => {
    if (after[what] - before[what] <= allowed) return inSync
    const found = `Service ${service} had ${count(after[what], noun)} ${span}`
    if (noBaseline) {
      const message = `${found}, but there is no data from before the rollout: it is unknown whether they are new`
      return cannotJudge({ code: 'NO_TRAFFIC', message })
    }
    const summary = `${found}, and ${before[what].toLocaleString('en-US')} in an equal time before the rollout.`
    const [expected, actual] = [`at most ${before[what] + allowed}`, String(after[what])]
    return differs('drifted', summary, { path: `${service}.${what}`, expected, actual })
  }
  const note = `Service ${service} has no data from before the rollout. Only the allowed numbers of errors were applied.`
  return [
    judge('serverErrors', 'server error', config.maxNewServerErrors),
    judge('errorLogs', 'ERROR log', config.maxNewErrorLogs),
    noBaseline ? { status: 'in_sync', notes: [note] } : inSync,
  ]
}

/** Too little traffic proves nothing. `quiet` gives the result while traffic may only just have been moved. */
function judgeTraffic(
  { service, after: { requests } }: ServiceTelemetry,
  span: string,
  { minRequests }: AfterRolloutConfig,
  quiet: () => Part | null,
): Part {
  const found = `Service ${service} had ${requests === 0 ? 'no requests' : count(requests, 'request')} ${span}`
  if (requests < minRequests) {
    const message = `${found}; at least ${minRequests.toLocaleString('en-US')} must be seen to judge it`
    return quiet() ?? cannotJudge({ code: 'NO_TRAFFIC', message })
  }
  return requests === 0 ? { status: 'in_sync', notes: [`${found}.`] } : inSync
}
