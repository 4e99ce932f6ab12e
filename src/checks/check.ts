import type { EpochMs } from '../clock.ts'
import type { Config, Stack } from '../config/schema.ts'
import type { Observed, ProbeKind } from '../probes/probe.ts'
import type { Finding } from './finding.ts'

export const checkKinds = ['service-image', 'job-image', 'migration-execution', 'role-grants', 'schema'] as const
export type CheckKind = (typeof checkKinds)[number]

/** What the probes saw that a check needs, all in the same cycle. */
export type Observations<K extends ProbeKind> = { readonly [kind in K]: Observed[kind] }

export interface CheckInput<K extends ProbeKind> {
  readonly stack: Stack
  readonly config: Config
  readonly observed: Observations<K>
  /** When the oldest of the looks was taken: the only "now" that a check knows. */
  readonly observedAt: EpochMs
}

export interface Check<K extends ProbeKind = ProbeKind> {
  readonly kind: CheckKind
  readonly needs: readonly K[]
  /** Whether the config asks for this check. */
  appliesTo(stack: Stack): boolean
  /** Judges one invariant. Pure: the same input gives the same finding. */
  judge(input: CheckInput<K>): Finding
}
