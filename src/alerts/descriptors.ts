import type { MetricDescriptor } from '../clients/monitoring/time-series.ts'

/** The metrics that are written, by what they say. */
export const alertMetrics = {
  drifted: 'custom.googleapis.com/driftwatch/check_drifted',
  unknown: 'custom.googleapis.com/driftwatch/check_unknown',
  heartbeat: 'custom.googleapis.com/driftwatch/heartbeat',
} as const

const labels = [
  { key: 'stack', description: 'The name of the stack in the config.' },
  { key: 'check', description: 'The name of the check.' },
]

const gauge = { metricKind: 'GAUGE', valueType: 'INT64', unit: '1' } as const

/** What the metrics must be; that of the silent alarm first. */
export const wantedDescriptors: readonly MetricDescriptor[] = [
  {
    type: alertMetrics.heartbeat,
    displayName: 'Driftwatch: heartbeat',
    description: '1 after each completed cycle.',
    ...gauge,
    labels: [],
  },
  {
    type: alertMetrics.drifted,
    displayName: 'Driftwatch: check drifted',
    description: '1 while a check has drifted, else 0; no points while the check is unknown.',
    ...gauge,
    labels,
  },
  {
    type: alertMetrics.unknown,
    displayName: 'Driftwatch: check unknown',
    description: '1 while a check cannot be proven either way, else 0.',
    ...gauge,
    labels,
  },
]

/** What keeps a descriptor that is there from being used, or null. */
export function descriptorConflict(wanted: MetricDescriptor, actual: MetricDescriptor): string | null {
  const is = (descriptor: MetricDescriptor) => `${descriptor.metricKind} ${descriptor.valueType}`
  if (is(actual) === is(wanted)) return null
  return `the metric ${wanted.type} is ${is(actual)} and must be ${is(wanted)}: somebody else made it; delete its descriptor, or keep Driftwatch in another project`
}
