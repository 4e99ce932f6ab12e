import type { protos } from '@google-cloud/monitoring'
import type { EpochMs } from '../../clock.ts'
import type {
  AlertPolicy,
  NamedCondition,
  PolicyCondition,
  UptimeCheck,
  WantedPolicy,
  WantedUptimeCheck,
} from './alert-policy.ts'
import type { MetricDescriptor, ReadPoint, SeriesPoint, SeriesResource } from './time-series.ts'

type VendorPolicy = protos.google.monitoring.v3.IAlertPolicy
type VendorCondition = protos.google.monitoring.v3.AlertPolicy.ICondition
type VendorAggregation = protos.google.monitoring.v3.IAggregation
type VendorUptimeCheck = protos.google.monitoring.v3.IUptimeCheckConfig
type VendorSeries = protos.google.monitoring.v3.ITimeSeries
type VendorDescriptor = protos.google.api.IMetricDescriptor
type VendorDuration = protos.google.protobuf.IDuration | null | undefined
type VendorTime = protos.google.protobuf.ITimestamp | null | undefined

/** One point for each series, all at one moment, which is rounded down to seconds. */
export function fromPoints(points: readonly SeriesPoint[], resource: SeriesResource, at: EpochMs): VendorSeries[] {
  const endTime = { seconds: Math.floor(at / 1000) }
  return points.map(({ metric, labels, value }) => ({
    metric: { type: metric, labels: { ...labels } },
    resource: { type: resource.type, labels: { ...resource.labels } },
    metricKind: 'GAUGE',
    valueType: 'INT64',
    points: [{ interval: { endTime }, value: { int64Value: value } }],
  }))
}

export function toReadPoints({ metric, resource, points }: VendorSeries): ReadPoint[] {
  return (points ?? []).map(({ interval, value }) => ({
    metricLabels: metric?.labels ?? {},
    resourceLabels: resource?.labels ?? {},
    value: Number(value?.int64Value ?? value?.doubleValue ?? 0),
    at: toTime(interval?.endTime),
  }))
}

export function fromDescriptor(descriptor: MetricDescriptor): VendorDescriptor {
  const { metricKind, valueType, labels, ...rest } = descriptor
  return {
    ...rest,
    metricKind: metricKind as 'GAUGE',
    valueType: valueType as 'INT64',
    labels: labels.map(label => ({ ...label, valueType: 'STRING' })),
  }
}

export function toDescriptor(message: VendorDescriptor): MetricDescriptor {
  return {
    type: message.type ?? '',
    displayName: message.displayName ?? '',
    description: message.description ?? '',
    metricKind: String(message.metricKind),
    valueType: String(message.valueType),
    unit: message.unit ?? '',
    labels: (message.labels ?? []).map(({ key, description }) => ({ key: key ?? '', description: description ?? '' })),
  }
}

/** In lists, the vendor's types allow only numbers. */
const promptNumbers: Readonly<Record<string, number>> = { OPENED: 1, CLOSED: 3 }

export function fromPolicy(policy: WantedPolicy & { readonly name?: string }): VendorPolicy {
  const { subject, content, links } = policy.documentation
  return {
    ...(policy.name && { name: policy.name }),
    displayName: policy.displayName,
    userLabels: { ...policy.userLabels },
    documentation: { subject, content, mimeType: 'text/markdown', links: links.map(link => ({ ...link })) },
    conditions: policy.conditions.map(fromCondition),
    combiner: policy.combiner as 'OR',
    enabled: { value: policy.enabled },
    severity: policy.severity as 'CRITICAL',
    notificationChannels: [...policy.notificationChannels],
    alertStrategy: {
      autoClose: fromMs(policy.autoCloseMs),
      notificationPrompts: policy.notificationPrompts.map(prompt => promptNumbers[prompt] ?? 0),
    },
  }
}

/** The field paths of what Driftwatch writes: other fields of a policy belong to its users. */
const policyPaths: Readonly<Record<keyof WantedPolicy, string>> = {
  displayName: 'display_name',
  userLabels: 'user_labels',
  documentation: 'documentation',
  conditions: 'conditions',
  combiner: 'combiner',
  enabled: 'enabled',
  severity: 'severity',
  notificationChannels: 'notification_channels',
  autoCloseMs: 'alert_strategy.auto_close',
  notificationPrompts: 'alert_strategy.notification_prompts',
}

export function policyMask(changed: readonly (keyof WantedPolicy)[]): { paths: string[] } {
  return { paths: changed.map(key => policyPaths[key]) }
}

function fromCondition(condition: PolicyCondition & { readonly name?: string }): VendorCondition {
  const { displayName, filter, durationMs, comparison, threshold, missingData } = condition
  const aggregation: VendorAggregation = {
    alignmentPeriod: fromMs(condition.alignmentMs),
    perSeriesAligner: condition.aligner as 'ALIGN_MIN',
    crossSeriesReducer: condition.reducer as 'REDUCE_MAX',
    groupByFields: [...condition.groupBy],
  }
  const shared = {
    filter,
    aggregations: [aggregation],
    duration: fromMs(durationMs),
    trigger: { count: 1 },
  }
  return {
    ...(condition.name && { name: condition.name }),
    displayName,
    ...(condition.kind === 'absence'
      ? { conditionAbsent: shared }
      : {
          conditionThreshold: {
            ...shared,
            comparison: comparison as 'COMPARISON_GT',
            thresholdValue: threshold ?? 0,
            // Allowed only with a duration of at least a minute; the default is to do nothing.
            ...(durationMs >= 60_000 && { evaluationMissingData: missingData as 'EVALUATION_MISSING_DATA_NO_OP' }),
          },
        }),
  }
}

export function toPolicy(message: VendorPolicy): AlertPolicy {
  const { documentation, alertStrategy } = message
  return {
    name: message.name ?? '',
    displayName: message.displayName ?? '',
    userLabels: message.userLabels ?? {},
    documentation: {
      subject: documentation?.subject ?? '',
      content: documentation?.content ?? '',
      links: (documentation?.links ?? []).map(({ displayName, url }) => ({
        displayName: displayName ?? '',
        url: url ?? '',
      })),
    },
    conditions: (message.conditions ?? []).map(toCondition),
    combiner: String(message.combiner ?? ''),
    // If absent, the policy is enabled.
    enabled: message.enabled?.value ?? message.enabled === null,
    severity: String(message.severity ?? ''),
    notificationChannels: message.notificationChannels ?? [],
    autoCloseMs: toDuration(alertStrategy?.autoClose),
    notificationPrompts: (alertStrategy?.notificationPrompts ?? []).map(String),
    createdAt: toTime(message.creationRecord?.mutateTime),
  }
}

function toCondition({ name, displayName, conditionThreshold, conditionAbsent }: VendorCondition): NamedCondition {
  const condition = conditionThreshold ?? conditionAbsent
  const aggregation = condition?.aggregations?.[0]
  return {
    name: name ?? '',
    displayName: displayName ?? '',
    kind: conditionThreshold ? 'threshold' : conditionAbsent ? 'absence' : 'other',
    filter: condition?.filter ?? '',
    alignmentMs: toDuration(aggregation?.alignmentPeriod),
    aligner: String(aggregation?.perSeriesAligner ?? ''),
    reducer: String(aggregation?.crossSeriesReducer ?? ''),
    groupBy: (aggregation?.groupByFields ?? []).map(plainField),
    comparison: conditionThreshold ? String(conditionThreshold.comparison) : null,
    threshold: conditionThreshold?.thresholdValue ?? (conditionThreshold ? 0 : null),
    durationMs: toDuration(condition?.duration),
    missingData: conditionThreshold ? toMissingData(conditionThreshold.evaluationMissingData) : null,
  }
}

/** The default is to do nothing. */
function toMissingData(value: unknown): string {
  const unspecified = value === null || value === undefined || value === 'EVALUATION_MISSING_DATA_UNSPECIFIED'
  return unspecified ? 'EVALUATION_MISSING_DATA_NO_OP' : String(value)
}

/** `metric.labels.stack` and `metric.label."stack"` are the same as `metric.label.stack`. */
function plainField(field: string): string {
  return field.replace(/\.labels\./, '.label.').replaceAll('"', '')
}

export function fromUptimeCheck(check: WantedUptimeCheck & { readonly name?: string }): VendorUptimeCheck {
  return {
    ...(check.name && { name: check.name }),
    displayName: check.displayName,
    userLabels: { ...check.userLabels },
    monitoredResource: { type: 'uptime_url', labels: { project_id: check.project, host: check.host } },
    httpCheck: {
      requestMethod: 'GET',
      path: check.path,
      useSsl: true,
      validateSsl: true,
      acceptedResponseStatusCodes: [{ statusValue: 200 }],
      ...(check.oidc && { serviceAgentAuthentication: { type: 'OIDC_TOKEN' } }),
    },
    period: fromMs(check.periodMs),
    timeout: fromMs(check.timeoutMs),
  }
}

const uptimePaths: Readonly<Record<keyof WantedUptimeCheck, string>> = {
  displayName: 'display_name',
  userLabels: 'user_labels',
  project: 'monitored_resource',
  host: 'monitored_resource',
  path: 'http_check',
  oidc: 'http_check',
  periodMs: 'period',
  timeoutMs: 'timeout',
}

export function uptimeMask(changed: readonly (keyof WantedUptimeCheck)[]): { paths: string[] } {
  return { paths: [...new Set(changed.map(key => uptimePaths[key]))] }
}

export function toUptimeCheck(message: VendorUptimeCheck): UptimeCheck {
  return {
    name: message.name ?? '',
    displayName: message.displayName ?? '',
    userLabels: message.userLabels ?? {},
    project: message.monitoredResource?.labels?.project_id ?? '',
    host: message.monitoredResource?.labels?.host ?? '',
    path: message.httpCheck?.path ?? '',
    periodMs: toDuration(message.period),
    timeoutMs: toDuration(message.timeout),
    oidc: Boolean(message.httpCheck?.serviceAgentAuthentication),
  }
}

/** A time or a duration, rounded down to seconds. */
export function fromMs(ms: number): { seconds: number; nanos: number } {
  return { seconds: Math.floor(ms / 1000), nanos: 0 }
}

function toTime(time: VendorTime): EpochMs {
  return Number(time?.seconds ?? 0) * 1000 + Math.floor(Number(time?.nanos ?? 0) / 1_000_000)
}

function toDuration(duration: VendorDuration): number {
  return Number(duration?.seconds ?? 0) * 1000
}
