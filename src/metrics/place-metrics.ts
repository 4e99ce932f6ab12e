import { type PlaceState, placeStatus } from '../drift/places.ts'
import type { Snapshot } from '../drift/store.ts'
import { type MetricDefinition, metricDefinitions } from './definitions.ts'

/** What is known of the places where stacks are found, in the exposition format. */
export function renderDiscoveryMetrics({ discovery, takenAt }: Snapshot): string {
  const places = discovery ?? []
  const { discoveredStacks, discoveryProblems, discoveryUnknown } = metricDefinitions
  return [
    family(discoveredStacks, places, place => place.stacks),
    family(discoveryProblems, places, place => place.problems.length),
    family(discoveryUnknown, places, place => (placeStatus(place, takenAt) === 'unknown' ? 1 : 0)),
  ].join('')
}

/** Names of projects and regions hold nothing that would have to be escaped. */
function family(
  { name, help, type }: MetricDefinition,
  places: readonly PlaceState[],
  count: (place: PlaceState) => number,
): string {
  const samples = places.map(place => `${name}{project="${place.project}",region="${place.region}"} ${count(place)}\n`)
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.join('')}\n`
}

/** How the config file stands, in the exposition format. */
export function renderConfigMetric({ config }: Snapshot): string {
  const { name, help, type } = metricDefinitions.configRefused
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${config?.error ? 1 : 0}\n\n`
}
