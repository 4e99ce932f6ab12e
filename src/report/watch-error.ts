import { type Status, worstStatus } from '../checks/status.ts'
import { neverListed, type PlaceState, placeStatus } from '../drift/places.ts'
import type { CheckError } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'

/** Why the report proves nothing about the whole: no check is watched, or too few stacks. Null if neither, and before the first cycle. */
export function watchError({ tooFewStacks, stacks, discovery, cycle }: Snapshot): CheckError | null {
  if (cycle === null) return null
  const at = cycle.startedAt
  if (tooFewStacks !== null) return { code: 'TOO_FEW_STACKS', message: tooFewStacks, at }
  if (stacks.some(({ states }) => states.length > 0)) return null
  return { code: 'NOTHING_WATCHED', message: `no check is watched: ${explainNothing(discovery)}`, at }
}

/** The worst status of all checks, label problems and places. An empty set of checks proves nothing. */
export function statusOfAll(snapshot: Snapshot): Status {
  const { stacks, discovery, takenAt } = snapshot
  const states = stacks.flatMap(({ states }) => states.map(({ status }) => status))
  const places = (discovery ?? []).map(place => placeStatus(place, takenAt))
  const error = watchError(snapshot) === null ? [] : ['unknown' as const]
  return worstStatus([...states, ...places, ...error])
}

function explainNothing(places: readonly PlaceState[] | null): string {
  if (places === null || places.some(({ stacks }) => stacks > 0)) return 'no stack has a selected check'
  const unlisted = neverListed(places)
  if (unlisted) return `${unlisted.project}, ${unlisted.region} has not been listed yet`
  return 'no stack is listed, and no labels name one. Check the labels, and `discover` in the configuration.'
}
