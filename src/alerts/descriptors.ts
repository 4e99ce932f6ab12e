import type { MetricDescriptor } from '../clients/monitoring/time-series.ts'

/** The metric types that are written. */
export const alertMetrics = {
  drifted: 'custom.googleapis.com/driftwatch/check_drifted',
  unknown: 'custom.googleapis.com/driftwatch/check_unknown',
  heartbeat: 'custom.googleapis.com/driftwatch/heartbeat',
  installation: 'custom.googleapis.com/driftwatch/installation',
} as const

const labels = [
  { key: 'stack', description: 'The name of the stack in the configuration.' },
  { key: 'check', description: 'The name of the check.' },
] as const

const gauge = { metricKind: 'GAUGE', valueType: 'INT64', unit: '1' } as const

/** The expected metrics, the one of the `silent` policy first. */
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
    description: '1 while a check is drifted, otherwise 0; no points while the check is unknown.',
    ...gauge,
    labels,
  },
  {
    type: alertMetrics.unknown,
    displayName: 'Driftwatch: check unknown',
    description: '1 while a check is unknown, otherwise 0.',
    ...gauge,
    labels,
  },
  {
    type: alertMetrics.installation,
    displayName: 'Driftwatch: installation',
    description: '1 after each completed cycle.',
    ...gauge,
    labels: [{ key: 'configuration', description: 'A hash of what is watched and of the alert settings.' }],
  },
]

/** Why an existing descriptor cannot be used, or null. */
export function descriptorConflict(wanted: MetricDescriptor, actual: MetricDescriptor): string | null {
  const kindOf = ({ metricKind, valueType }: MetricDescriptor) => `${metricKind} ${valueType}`
  if (kindOf(actual) === kindOf(wanted)) return null
  return `the metric ${wanted.type} exists as ${kindOf(actual)}, but must be ${kindOf(wanted)}. Delete its descriptor, or run Driftwatch in another project.`
}
