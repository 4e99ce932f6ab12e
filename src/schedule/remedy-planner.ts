import type { CheckKind } from '../checks/check.ts'
import type { Stack } from '../config/config.ts'
import type { ProbeResult } from '../probes/observe.ts'
import type { Observed, ProbeKind } from '../probes/probe.ts'
import type { DriftwatchCommands } from '../remedies/driftwatch-commands.ts'
import { remedyStack } from '../remedies/remedies.ts'
import type { Remedy } from '../remedies/remedy.ts'
import type { CurrentFinding } from '../remedies/situation.ts'

/** Decides what fixes the drifted checks of a stack after a cycle. */
export type RemedyPlanner = (
  stack: Stack,
  findings: ReadonlyMap<CheckKind, CurrentFinding>,
  results: readonly ProbeResult<ProbeKind>[],
) => ReadonlyMap<CheckKind, Remedy>

/** While a probe fails, the finding that it supported stays, and so does its last observation, for the same stack. */
export function createRemedyPlanner(commands: DriftwatchCommands): RemedyPlanner {
  const lastObserved = new WeakMap<Stack, Partial<Observed>>()

  return (stack, findings, results) => {
    const answered = results.filter(result => result.outcome === 'answered')
    const observed: Partial<Observed> = {
      ...lastObserved.get(stack),
      ...Object.fromEntries(answered.map(({ kind, value }) => [kind, value])),
      // Large, and no remedy needs it.
      'postgres-catalog': null,
    }
    lastObserved.set(stack, observed)
    return remedyStack({ stack, commands, findings, observed })
  }
}
