import { type PlaceState, placeStatus } from '../drift/places.ts'
import type { Snapshot } from '../drift/store.ts'
import { type MetricDefinition, metricDefinitions } from './definitions.ts'
import { writeLabels, writeMetric, writeSample } from './exposition.ts'

/** The metrics of discovery, in the Prometheus text format. */
export function renderDiscoveryMetrics({ discovery, takenAt }: Snapshot): Buffer {
  const { discoveredStacks, discoveryProblems, discoveryUnknown } = metricDefinitions
  const metric = (definition: MetricDefinition, count: (place: PlaceState) => number) => {
    const samples = (discovery ?? []).map(place =>
      writeSample(definition, writeLabels({ project: place.project, region: place.region }), count(place)),
    )
    return writeMetric(definition, samples)
  }
  return Buffer.concat([
    ...metric(discoveredStacks, place => place.stacks),
    ...metric(discoveryProblems, place => place.problems.length),
    ...metric(discoveryUnknown, place => (placeStatus(place, takenAt) === 'unknown' ? 1 : 0)),
  ])
}

/** Whether the configuration file was rejected, in the Prometheus text format. */
export function renderConfigMetric({ config }: Snapshot): Buffer {
  const definition = metricDefinitions.configRejected
  return Buffer.concat(writeMetric(definition, [writeSample(definition, '', config?.error ? 1 : 0)]))
}
