import { isDeepStrictEqual } from 'node:util'
import type { Check, CheckInput, CheckKind } from '../checks/check.ts'
import type { Finding } from '../checks/finding.ts'
import type { SlicedWork, TimeSlices } from '../concurrency/time-slices.ts'
import type { Config, Stack } from '../config/config.ts'
import type { ProbeKind } from '../probes/probe.ts'

/** Judges a check of a stack; rejects with whatever the check throws. */
export type Judge = (check: Check, input: CheckInput<ProbeKind>, timeSlices: TimeSlices) => Promise<Finding>

/** What a check was given last, and what it found. */
interface Judged {
  readonly config: Config
  readonly observed: CheckInput<ProbeKind>['observed']
  readonly finding: Finding
}

/**
 * Judges, and does not judge again what is sure to come to the same: a check that found all in sync, of which time alone
 * makes nothing else, and that is given what it was given before. A config that was read again is another one.
 */
export function createJudge(): Judge {
  const kept = new WeakMap<Stack, Map<CheckKind, Judged>>()

  function keptOf(stack: Stack): Map<CheckKind, Judged> {
    const before = kept.get(stack)
    if (before) return before
    const none = new Map<CheckKind, Judged>()
    kept.set(stack, none)
    return none
  }

  return async (check, input, timeSlices) => {
    if (!check.inSyncLasts) return judgeNow(check, input, timeSlices)
    const { stack, config, observed } = input
    const judged = keptOf(stack)
    const before = judged.get(check.kind)
    if (before?.config === config && isDeepStrictEqual(before.observed, observed)) return before.finding
    const finding = await judgeNow(check, input, timeSlices)
    if (finding.status === 'in_sync') judged.set(check.kind, { config, observed, finding })
    else judged.delete(check.kind)
    return finding
  }
}

function judgeNow(check: Check, input: CheckInput<ProbeKind>, timeSlices: TimeSlices): Promise<Finding> {
  return timeSlices(check.judgeInSteps?.(input) ?? atOnce(check, input))
}

/** As one step, which waits for its turn like others. */
// biome-ignore lint/correctness/useYield: nothing of it can be interrupted.
function* atOnce(check: Check, input: CheckInput<ProbeKind>): SlicedWork<Finding> {
  return check.judge(input)
}
