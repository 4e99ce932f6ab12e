import type { EpochMs } from '../../clock.ts'

export interface PolicyLink {
  readonly displayName: string
  readonly url: string
}

/** When an alert policy opens an incident: a threshold is exceeded, or data is absent. */
export interface PolicyCondition {
  readonly displayName: string
  /** `other`: not written by Driftwatch. */
  readonly kind: 'threshold' | 'absence' | 'other'
  /** In Cloud Monitoring's filter language. */
  readonly filter: string
  readonly alignmentMs: number
  /** As Cloud Monitoring names it: `ALIGN_MIN`. */
  readonly aligner: string
  /** As Cloud Monitoring names it: `REDUCE_MAX`. */
  readonly reducer: string
  /** As `metric.label.stack`; each group has its own incident. */
  readonly groupBy: readonly string[]
  /** As Cloud Monitoring names it: `COMPARISON_GT`; null for an absence. */
  readonly comparison: string | null
  readonly threshold: number | null
  /** How long the threshold must be exceeded, or data must be absent. */
  readonly durationMs: number
  /** As Cloud Monitoring names it; null for an absence. */
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
  /** As Cloud Monitoring names it: `OR`. */
  readonly combiner: string
  readonly enabled: boolean
  /** `CRITICAL`, `ERROR` or `WARNING`. */
  readonly severity: string
  /** Full resource names. */
  readonly notificationChannels: readonly string[]
  readonly autoCloseMs: number
  /** `OPENED`, `CLOSED`. */
  readonly notificationPrompts: readonly string[]
}

/** An existing condition. An update must keep its name, or its open incidents are lost. */
export interface NamedCondition extends PolicyCondition {
  readonly name: string
}

/** An existing alert policy. */
export interface AlertPolicy extends WantedPolicy {
  /** The full resource name. */
  readonly name: string
  readonly conditions: readonly NamedCondition[]
  readonly createdAt: EpochMs
}

/** An update of a policy; conditions with a name keep their open incidents. */
export interface ChangedPolicy extends WantedPolicy {
  readonly name: string
  /** The fields to write; the others are unchanged. */
  readonly changed: readonly (keyof WantedPolicy)[]
  readonly conditions: readonly (PolicyCondition | NamedCondition)[]
}

/** An uptime check as Driftwatch wants it. */
export interface WantedUptimeCheck {
  readonly displayName: string
  readonly userLabels: Readonly<Record<string, string>>
  readonly project: string
  readonly host: string
  readonly path: string
  readonly periodMs: number
  readonly timeoutMs: number
  /** Whether requests carry an OIDC token of Cloud Monitoring's service agent. */
  readonly oidc: boolean
}

/** An existing uptime check. */
export interface UptimeCheck extends WantedUptimeCheck {
  readonly name: string
}

/** An update of an uptime check. */
export interface ChangedUptimeCheck extends UptimeCheck {
  /** The fields to write; the others are unchanged. */
  readonly changed: readonly (keyof WantedUptimeCheck)[]
}
