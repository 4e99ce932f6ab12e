import type { EpochMs } from '../../clock.ts'

/** A link of an alert's documentation. */
export interface PolicyLink {
  readonly displayName: string
  readonly url: string
}

/** When an alert policy opens an incident: a threshold that is passed, or data that stays away. */
export interface PolicyCondition {
  readonly displayName: string
  /** `other` is what Driftwatch never writes. */
  readonly kind: 'threshold' | 'absence' | 'other'
  /** Which series, in Cloud Monitoring's filter language. */
  readonly filter: string
  readonly alignmentMs: number
  /** The vendor's word: `ALIGN_MIN`. */
  readonly aligner: string
  /** The vendor's word: `REDUCE_MAX`. */
  readonly reducer: string
  /** As `metric.label.stack`; an incident for each group. */
  readonly groupBy: readonly string[]
  /** The vendor's word, `COMPARISON_GT`, with the value that is compared with; null in an absence. */
  readonly comparison: string | null
  readonly threshold: number | null
  /** How long it must hold, or how long data must stay away. */
  readonly durationMs: number
  /** The vendor's word; null in an absence. */
  readonly missingData: string | null
}

/** An alert policy as Driftwatch wants it. */
export interface WantedPolicy {
  readonly displayName: string
  readonly userLabels: Readonly<Record<string, string>>
  readonly documentation: {
    readonly subject: string
    /** Markdown. */
    readonly content: string
    readonly links: readonly PolicyLink[]
  }
  readonly conditions: readonly PolicyCondition[]
  /** The vendor's word: `OR`. */
  readonly combiner: string
  readonly enabled: boolean
  /** The vendor's word: `CRITICAL`, `ERROR`, `WARNING`. */
  readonly severity: string
  /** Full resource names. */
  readonly notificationChannels: readonly string[]
  readonly autoCloseMs: number
  /** The vendor's words: `OPENED`, `CLOSED`. */
  readonly notificationPrompts: readonly string[]
}

/** A condition that is there; its name must be kept, lest its open incidents be lost. */
export interface NamedCondition extends PolicyCondition {
  readonly name: string
}

/** An alert policy that is there. */
export interface AlertPolicy extends WantedPolicy {
  /** The full resource name. */
  readonly name: string
  readonly conditions: readonly NamedCondition[]
  readonly createdAt: EpochMs
}

/** A policy as it is to become; conditions that carry a name keep their open incidents. */
export interface ChangedPolicy extends WantedPolicy {
  readonly name: string
  /** What is written; everything else stays as it is. */
  readonly changed: readonly (keyof WantedPolicy)[]
  readonly conditions: readonly (PolicyCondition | NamedCondition)[]
}

/** A check from outside that a page answers, with the identity of Cloud Monitoring's service agent. */
export interface WantedUptimeCheck {
  readonly displayName: string
  readonly userLabels: Readonly<Record<string, string>>
  readonly project: string
  readonly host: string
  readonly path: string
  readonly periodMs: number
  readonly timeoutMs: number
  /** Whether requests carry an OIDC token. */
  readonly oidc: boolean
}

/** An uptime check as it is to become. */
export interface ChangedUptimeCheck extends WantedUptimeCheck {
  readonly name: string
  /** What is written; everything else stays as it is. */
  readonly changed: readonly (keyof WantedUptimeCheck)[]
}

export interface UptimeCheck extends WantedUptimeCheck {
  readonly name: string
}
