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

/** What the probes saw, all in the same cycle: those that a check needs, and those that it uses and that answered. */
export type Observations<Needed extends ProbeKind, Used extends ProbeKind = never> = {
  readonly [kind in Needed]: Observed[kind]
} & { readonly [kind in Used]?: Observed[kind] }

export interface CheckInput<Needed extends ProbeKind, Used extends ProbeKind = never> {
  readonly stack: Stack
  readonly config: Config
  readonly observed: Observations<Needed, Used>
  /** When the oldest of the looks was taken: the only "now" that a check knows. */
  readonly observedAt: EpochMs
}

/** `Check` alone is any check. */
export interface Check<
  Needed extends ProbeKind = ProbeKind,
  Used extends ProbeKind = ProbeKind extends Needed ? ProbeKind : never,
> {
  readonly kind: CheckKind
  /** Without these the check is not judged. */
  readonly needs: readonly Needed[]
  /** Without these it is judged all the same. */
  readonly uses?: readonly Used[]
  /** Whether the config asks for this check. */
  appliesTo(stack: Stack): boolean
  /** Whether time alone makes nothing else of what it finds in sync, as long as the same is seen. */
  readonly inSyncLasts?: true
  /** Judges one invariant. Pure: the same input gives the same finding. */
  judge(input: CheckInput<Needed, Used>): Finding
  /** The same in steps of a few milliseconds at most, of a check that may have much to judge. */
  judgeInSteps?(input: CheckInput<Needed, Used>): SlicedWork<Finding>
}
