import type { EpochMs } from '../clock.ts'
import type { SlicedWork } from '../concurrency/time-slices.ts'
import type { Config, Stack } from '../config/config.ts'
import type { Observed, ProbeKind } from '../probes/probe.ts'
import type { Finding } from './finding.ts'

export const checkKinds = [
  'service-image',
  'job-image',
  'migration-execution',
  'role-grants',
  'schema',
  'image-lanes',
  'after-rollout',
  'http-contract',
] as const

export type CheckKind = (typeof checkKinds)[number]

/** The observations of one cycle: of the probes that a check needs, and of those that it uses, unless they failed. */
export type Observations<Needed extends ProbeKind, Used extends ProbeKind = never> = {
  readonly [kind in Needed]: Observed[kind]
} & { readonly [kind in Used]?: Observed[kind] }

export interface CheckInput<Needed extends ProbeKind, Used extends ProbeKind = never> {
  readonly stack: Stack
  readonly config: Config
  readonly observed: Observations<Needed, Used>
  /** The time of the oldest observation: a check knows no other "now". */
  readonly observedAt: EpochMs
}

/** `Check` without type arguments is any check. */
export interface Check<
  Needed extends ProbeKind = ProbeKind,
  Used extends ProbeKind = ProbeKind extends Needed ? ProbeKind : never,
> {
  readonly kind: CheckKind
  /** Probes that the check requires. If one fails, the check is not judged. */
  readonly needs: readonly Needed[]
  /** Optional probes. */
  readonly uses?: readonly Used[]
  /** Whether the stack configures this check. */
  appliesTo(stack: Stack): boolean
  /** True if the finding `in_sync` stays valid as long as the observations are equal, whatever the time. */
  readonly inSyncLasts?: true
  /** Judges the observations. Pure: equal input gives an equal finding. */
  judge(input: CheckInput<Needed, Used>): Finding
  /** `judge` in slices of a few milliseconds, for a check that may take long. */
  judgeInSteps?(input: CheckInput<Needed, Used>): SlicedWork<Finding>
}
