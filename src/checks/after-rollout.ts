import { formatTime } from '../clock.ts'
import type { AfterRolloutConfig } from '../config/after-rollout-schema.ts'
import { formatDuration } from '../duration.ts'
import type { ServiceTelemetry, Window } from '../release/telemetry.ts'
import type { Check, CheckInput } from './check.ts'
import type { Finding } from './finding.ts'
import { readLogs } from './fix.ts'
import { conclude, differs, inSync, type Part, unproven } from './part.ts'

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
    if (telemetry.rolloutAt === null)
      return onlyDoubt('DEPENDS_ON', `no revision of service ${stack.service.name} takes traffic: see service-image`)
    if (!telemetry.window) return tooSoon(input, telemetry.rolloutAt, config)
    return judgeWindow(input, telemetry.window, telemetry.services, config)
  },
}

function onlyDoubt(code: 'DEPENDS_ON', message: string): Finding {
  return conclude([unproven({ code, message })], { inSync: '', fix: () => null })
}

function tooSoon({ observedAt }: Input, rolloutAt: number, { delayMs }: AfterRolloutConfig): Finding {
  const age = formatDuration(Math.max(0, observedAt - rolloutAt))
  const message = `the rollout is ${age} old: what came of it is known after ${formatDuration(delayMs + 120_000)}`
  return conclude([unproven({ code: 'TOO_SOON', message }, 'pending')], { inSync: '', fix: () => null })
}

function judgeWindow(
  { stack }: Input,
  window: Window,
  services: readonly ServiceTelemetry[],
  config: AfterRolloutConfig,
): Finding {
  const span = `${formatDuration(window.to - window.from)} up to ${formatTime(window.to)}`
  const parts = services.flatMap(each => judgeService(each, span, config))
  return conclude(parts, {
    inSync: `${services.map(told).join('; ')}: in the ${span}`,
    fix(differences) {
      const worst = services.find(({ service }) => differences.some(({ path }) => path.startsWith(`${service}.`)))
      return worst ? readLogs(stack, worst.service, window) : null
    },
  })
}

function told({ service, after }: ServiceTelemetry): string {
  const { requests, serverErrors, errorLogs } = after
  return `${service} ${requests === 0 ? 'had no traffic' : `answered ${requests} requests`}, ${serverErrors} with 5xx, ${errorLogs} ERROR logs`
}

function judgeService({ service, after, before }: ServiceTelemetry, span: string, config: AfterRolloutConfig): Part[] {
  const more = (what: 'serverErrors' | 'errorLogs', words: string, allowed: number): Part => {
    if (after[what] - before[what] <= allowed) return inSync
    const summary = `${service}: ${after[what]} ${words} in the ${span}, ${before[what]} in as long before the rollout`
    const expected = `at most ${before[what] + allowed}`
    return differs('drifted', summary, {
      path: `${service}.${what}`,
      kind: 'changed',
      expected,
      actual: String(after[what]),
    })
  }
  return [
    more('serverErrors', '5xx responses', config.maxNewServerErrors),
    more('errorLogs', 'ERROR logs', config.maxNewErrorLogs),
    judgeTraffic(service, after.requests, span, config.minRequests),
  ]
}

/** Where nobody asks, nothing can fail. */
function judgeTraffic(service: string, requests: number, span: string, minRequests: number): Part {
  const seen = requests === 0 ? 'no traffic' : `${requests} requests`
  if (requests < minRequests) {
    const message = `${service}: ${seen} in the ${span}, at least ${minRequests} would prove something`
    return unproven({ code: 'NO_TRAFFIC', message })
  }
  return requests === 0 ? { status: 'in_sync', notes: [`${service}: ${seen} in the ${span}`] } : inSync
}
