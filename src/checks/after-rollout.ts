import { formatTime } from '../clock.ts'
import type { AfterRolloutConfig } from '../config/sections/after-rollout.ts'
import { formatDuration } from '../duration.ts'
import type { Rollout, ServiceTelemetry, Window } from '../release/rollout-telemetry.ts'
import type { Check, CheckInput } from './check.ts'
import type { Finding } from './finding.ts'
import { readLogs } from './fix.ts'
import { conclude, differs, inSync, type Part, unproven } from './parts/part.ts'

type Input = CheckInput<'telemetry'>

/** No watched service gives more 5xx responses, or writes more ERROR logs, than in as long a time before the rollout. */
export const afterRollout: Check<'telemetry'> = {
  kind: 'after-rollout',
  needs: ['telemetry'],
  appliesTo: stack => stack.afterRollout !== null,
  judge(input) {
    const { stack, observed } = input
    const { telemetry } = observed
    const config = stack.afterRollout as AfterRolloutConfig
    if (!telemetry) return onlyDoubt('DEPENDS_ON', `service ${stack.service.name} is missing: see service-image`)
    const { rollout, window } = telemetry
    if (rollout === null)
      return onlyDoubt('DEPENDS_ON', `no revision of service ${stack.service.name} takes traffic: see service-image`)
    if (!window) return conclude([tooSoon(input, rollout.readyAt, config)], { inSync: '', fix: () => null })
    return judgeWindow(input, { ...telemetry, rollout, window }, config)
  },
}

function onlyDoubt(code: 'DEPENDS_ON', message: string): Finding {
  return conclude([unproven({ code, message })], { inSync: '', fix: () => null })
}

/** When the first whole minute after a rollout is complete, at the latest. */
function knownAfterMs({ delayMs }: AfterRolloutConfig): number {
  return delayMs + 120_000
}

function tooSoon({ observedAt }: Input, rolloutAt: number, config: AfterRolloutConfig): Part {
  const age = formatDuration(Math.max(0, observedAt - rolloutAt))
  const message = `the rollout is ${age} old: what came of it is known after ${formatDuration(knownAfterMs(config))}`
  return unproven({ code: 'TOO_SOON', message }, 'pending')
}

interface Judged {
  readonly rollout: Rollout
  readonly window: Window
  readonly services: readonly ServiceTelemetry[]
}

function judgeWindow(input: Input, { rollout, window, services }: Judged, config: AfterRolloutConfig): Finding {
  const { stack } = input
  const span = `${formatDuration(window.to - window.from)} up to ${formatTime(window.to)}`
  const quiet = (service: string): Part | null =>
    service === stack.service.name && input.observedAt - rollout.touchedAt < knownAfterMs(config)
      ? tooSoon(input, rollout.touchedAt, config)
      : null
  const seen = services.flatMap(each => [
    ...judgeService(each, span, config),
    judgeTraffic(each, span, config, () => quiet(each.service)),
  ])
  const parts = [...seen, ...unseen(services, config)]
  return conclude(parts, {
    inSync: `${services.map(told).join('; ')}: in the ${span}`,
    fix(differences) {
      const worst = services.find(({ service }) => differences.some(({ path }) => path.startsWith(`${service}.`)))
      return worst ? readLogs(stack, worst.service, window) : null
    },
  })
}

function unseen(services: readonly ServiceTelemetry[], config: AfterRolloutConfig): Part[] {
  return config.services
    .filter(wanted => !services.some(({ service }) => service === wanted))
    .map(wanted => unproven({ code: 'BUG', message: `${wanted}: what it did was not looked at` }))
}

function told({ service, after }: ServiceTelemetry): string {
  const { requests, serverErrors, errorLogs } = after
  return `${service} ${requests === 0 ? 'had no traffic' : `answered ${requests} requests`}, ${serverErrors} with 5xx, ${errorLogs} ERROR logs`
}

function judgeService({ service, after, before }: ServiceTelemetry, span: string, config: AfterRolloutConfig): Part[] {
  const unknownBefore = before.requests === 0 && before.errorLogs === 0
  const more = (what: 'serverErrors' | 'errorLogs', words: string, allowed: number): Part => {
    if (after[what] - before[what] <= allowed) return inSync
    const found = `${service}: ${after[what]} ${words} in the ${span}`
    if (unknownBefore) {
      const message = `${found}, and nothing is known of as long before the rollout: it cannot be told whether they are new`
      return unproven({ code: 'NO_TRAFFIC', message })
    }
    return differs('drifted', `${found}, ${before[what]} in as long before the rollout`, {
      path: `${service}.${what}`,
      kind: 'changed',
      expected: `at most ${before[what] + allowed}`,
      actual: String(after[what]),
    })
  }
  const note = `${service}: nothing is known of as long before the rollout: held against the allowed numbers alone`
  return [
    more('serverErrors', '5xx responses', config.maxNewServerErrors),
    more('errorLogs', 'ERROR logs', config.maxNewErrorLogs),
    unknownBefore ? { status: 'in_sync', notes: [note] } : inSync,
  ]
}

/** Where nobody asks, nothing can fail. Traffic that may just have been moved, `quiet` says, is given time to come. */
function judgeTraffic(
  { service, after: { requests } }: ServiceTelemetry,
  span: string,
  { minRequests }: AfterRolloutConfig,
  quiet: () => Part | null,
): Part {
  const seen = requests === 0 ? 'no traffic' : `${requests} requests`
  if (requests < minRequests) {
    const message = `${service}: ${seen} in the ${span}, at least ${minRequests} would prove something`
    return quiet() ?? unproven({ code: 'NO_TRAFFIC', message })
  }
  return requests === 0 ? { status: 'in_sync', notes: [`${service}: ${seen} in the ${span}`] } : inSync
}
