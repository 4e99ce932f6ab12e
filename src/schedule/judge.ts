import { isDeepStrictEqual } from 'node:util'
import type { Check, CheckInput, CheckKind } from '../checks/check.ts'
import type { Finding } from '../checks/finding.ts'
import type { SlicedWork, TimeSlices } from '../concurrency/time-slices.ts'
import type { Config, Stack } from '../config/config.ts'
import type { ProbeKind } from '../probes/probe.ts'

/** Judges a check of a stack. Rejects with the error that the check throws. */
export type Judge = (check: Check, input: CheckInput<ProbeKind>, timeSlices: TimeSlices) => Promise<Finding>

/** The last input of a check, and its finding. */
interface JudgedInput {
  readonly config: Config
  readonly observed: CheckInput<ProbeKind>['observed']
  readonly finding: Finding
}

/**
 * Reuses the finding of a check that was in sync and sets `inSyncLasts`, while its observations and configuration are
 * unchanged. A configuration that was reloaded counts as changed.
 */
export function createJudge(): Judge {
  const cache = new WeakMap<Stack, Map<CheckKind, JudgedInput>>()

  return async (check, input, timeSlices) => {
    if (!check.inSyncLasts) return judgeNow(check, input, timeSlices)
    const { stack, config, observed } = input
    const judged = cache.get(stack) ?? new Map<CheckKind, JudgedInput>()
    cache.set(stack, judged)
    const before = judged.get(check.kind)
    if (before?.config === config && isDeepStrictEqual(before.observed, observed)) return before.finding
    const finding = await judgeNow(check, input, timeSlices)
    if (finding.status === 'in_sync') judged.set(check.kind, { config, observed, finding })
    else judged.delete(check.kind)
    return finding
  }
}

function judgeNow(check: Check, input: CheckInput<ProbeKind>, timeSlices: TimeSlices): Promise<Finding> {
  return timeSlices(check.judgeInSteps?.(input) ?? inOneStep(check, input))
}

/** Judges in one step, which waits for its turn like the steps of other checks. */
// biome-ignore lint/correctness/useYield: the check cannot be interrupted.
function* inOneStep(check: Check, input: CheckInput<ProbeKind>): SlicedWork<Finding> {
  return check.judge(input)
}
