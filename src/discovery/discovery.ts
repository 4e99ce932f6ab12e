import type { CloudRunReader } from '../clients/cloud-run/cloud-run-reader.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { Deadline } from '../concurrency/deadline.ts'
import type { Config, Stack } from '../config/config.ts'
import { type DiscoveredPlace, discoveryLabels, discoveryRoles, type FoundStack } from '../config/sections/discover.ts'
import type { PlaceState } from '../drift/places.ts'
import type { CheckError } from '../drift/state.ts'
import { asDriftwatchError, errorTable } from '../errors.ts'
import type { Log } from '../log.ts'
import { type Labelled, type LabelReading, readLabels } from './labelled-stacks.ts'
import { mergeStacks } from './stacks.ts'

/** Who is watched, and what is known of the places where they were found. */
export interface WatchedStacks {
  readonly stacks: readonly Stack[]
  /** Null where nothing is discovered. */
  readonly places: readonly PlaceState[] | null
}

/** Finds stacks by their labels, and remembers them where it cannot look. */
export interface Discovery {
  /** Lists every place of the config once, by the reader of the cycle. Never rejects. */
  look(config: Config, reader: CloudRunReader, deadline: Deadline): Promise<WatchedStacks>
  /** The wall clock was set `ms` forward, or back where that is below 0: what was looked at keeps its age. */
  clockSet(ms: number): void
}

/** What is known of a place. */
interface KnownPlace {
  readonly place: DiscoveredPlace
  /** What its last whole list said; null before the first. */
  readonly reading: LabelReading | null
  readonly observedAt: EpochMs | null
  readonly error: CheckError | null
}

/** So many names are told of in a log line. */
const namedInLog = 20

export function createDiscovery({ clock, log }: { readonly clock: Clock; readonly log: Log }): Discovery {
  let known: ReadonlyMap<string, KnownPlace> = new Map()
  let found: ReadonlyMap<string, FoundStack> = new Map()

  async function lookAt(place: DiscoveredPlace, reader: CloudRunReader, deadline: Deadline): Promise<KnownPlace> {
    const at = clock.now()
    const here = [...found.values()].filter(({ project, region }) => keyOf({ project, region }) === keyOf(place))
    try {
      const reading = await Promise.race([readPlace(place, here, reader), deadline.over])
      return { place, reading, observedAt: at, error: null }
    } catch (thrown) {
      const { code, message } = asDriftwatchError(thrown)
      const before = known.get(keyOf(place))
      const { project, region } = place
      log[errorTable[code].logLevel]({ project, region, code, error: message }, 'a place could not be listed')
      return {
        place,
        reading: before?.reading ?? null,
        observedAt: before?.observedAt ?? null,
        error: { code, message, at },
      }
    }
  }

  return {
    async look(config, reader, deadline) {
      const places = config.discover?.places ?? []
      const looks = await Promise.all(places.map(place => lookAt(place, reader, deadline)))
      known = new Map(looks.map(look => [keyOf(look.place), look]))
      const merged = mergeStacks(
        config,
        looks.flatMap(({ reading }) => reading?.stacks ?? []),
        found,
      )
      tellChanges(log, found, merged.found)
      found = merged.found
      const states = looks.map(look => stateOf(look, merged, config.staleAfterMs))
      return { stacks: merged.stacks, places: config.discover && states }
    },
    clockSet(ms) {
      known = new Map([...known].map(([key, place]) => [key, { ...place, observedAt: moved(place.observedAt, ms) }]))
    },
  }
}

/** The stacks of these names, and, where they are all there, of the places what concerns them; null for all. */
export function selectStacks(all: WatchedStacks, names: readonly string[] | null): WatchedStacks {
  if (names === null) return all
  const stacks = all.stacks.filter(({ name }) => names.includes(name))
  if (names.some(name => stacks.every(stack => stack.name !== name))) return { stacks, places: all.places }
  const places = all.places?.flatMap(place => {
    const problems = place.problems.filter(({ stack }) => names.includes(stack))
    const concerned = problems.length > 0 || stacks.some(stack => keyOf(stack) === keyOf(place))
    return concerned ? [{ ...place, problems }] : []
  })
  return { stacks, places: places ?? null }
}

/** What may be why a stack of a name is not there: places that could not be listed, and problems with its labels. */
export function absenceReasons(places: readonly PlaceState[] | null, name: string): string[] {
  return (places ?? []).flatMap(({ project, region, problems, error }) => [
    ...(error ? [`${project}, ${region} could not be listed: ${error.message}`] : []),
    ...problems.filter(({ stack }) => stack === name).map(({ message }) => message),
  ])
}

function moved(moment: EpochMs | null, ms: number): EpochMs | null {
  return moment === null ? null : moment + ms
}

function keyOf({ project, region }: Pick<DiscoveredPlace, 'project' | 'region'>): string {
  return `${project}/${region}`
}

/**
 * The labels of all that a place holds. What was there before and is in no list any more is gone only when a `get` says
 * so; where that cannot be asked it stays.
 */
async function readPlace(
  place: DiscoveredPlace,
  before: readonly FoundStack[],
  reader: CloudRunReader,
): Promise<LabelReading> {
  const [services, jobs] = await Promise.all([reader.services(place), reader.jobs(place)])
  const kept = await Promise.all(
    before.flatMap(stack => [
      services.has(stack.service) ? null : confirm(stack, 'service', () => reader.service(place, stack.service)),
      stack.job === null || jobs.has(stack.job)
        ? null
        : confirm(stack, 'job', () => reader.job(place, stack.job as string)),
    ]),
  )
  const keptOf = (kind: keyof typeof discoveryRoles) =>
    kept.flatMap(each => (each?.kind === kind && each.resource ? [each.resource] : []))
  return readLabels(place, [...services.values(), ...keptOf('service')], [...jobs.values(), ...keptOf('job')])
}

async function confirm(stack: FoundStack, kind: keyof typeof discoveryRoles, get: () => Promise<Labelled | null>) {
  const name = kind === 'service' ? stack.service : (stack.job ?? '')
  const labels = { ...stack.labels, [discoveryLabels.stack]: stack.name, [discoveryLabels.role]: discoveryRoles[kind] }
  return { kind, resource: await get().catch(() => ({ name, labels })) }
}

function stateOf(
  { place, reading, observedAt, error }: KnownPlace,
  { found, problems }: ReturnType<typeof mergeStacks>,
  staleAfterMs: number,
): PlaceState {
  const { project, region } = place
  const ofLabels = reading?.problems ?? []
  const ofStacks = problems.filter(problem => keyOf(problem.place) === keyOf(place))
  return {
    project,
    region,
    observedAt,
    staleAt: observedAt === null ? null : observedAt + staleAfterMs,
    error,
    problems: [...ofLabels, ...ofStacks].map(({ stack, message }) => ({ stack, message })),
    stacks: [...found.values()].filter(stack => keyOf(stack) === keyOf(place)).length,
  }
}

function tellChanges(log: Log, before: ReadonlyMap<string, FoundStack>, after: ReadonlyMap<string, FoundStack>): void {
  const found = [...after.keys()].filter(name => !before.has(name))
  const left = [...before.keys()].filter(name => !after.has(name))
  if (found.length + left.length === 0) return
  const named = { found: found.slice(0, namedInLog), left: left.slice(0, namedInLog) }
  log.info({ ...named, foundCount: found.length, leftCount: left.length }, 'the discovered stacks have changed')
}
