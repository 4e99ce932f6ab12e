import type { CloudRunReader } from '../clients/cloud-run/cloud-run-reader.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { Deadline } from '../concurrency/deadline.ts'
import type { Config, Stack } from '../config/config.ts'
import { type DiscoveredPlace, discoveryLabels, discoveryRoles, type FoundStack } from '../config/sections/discover.ts'
import type { PlaceState } from '../drift/places.ts'
import type { CheckError } from '../drift/state.ts'
import { asDriftwatchError, errorTable } from '../errors.ts'
import type { Log } from '../log.ts'
import { maskUrls } from '../printable.ts'
import { type Labelled, type LabelledStack, type LabelReading, readLabels } from './labelled-stacks.ts'
import { mergeStacks } from './stacks.ts'
import { listUnlabelled, moveUnlabelled, resolveUnlabelled, type UnlabelledStack } from './unlabelled-stacks.ts'

/** The stacks to watch, and the state of the places where they are discovered. */
export interface WatchedStacks {
  readonly stacks: readonly Stack[]
  /** Null without discovery. */
  readonly places: readonly PlaceState[] | null
  /** Discovered stacks whose labels were removed within the last day while their service exists. */
  readonly unlabelled: readonly { readonly stack: Stack; readonly since: EpochMs }[]
  /** Which places have fewer stacks than the configuration requires; null if none. */
  readonly tooFewStacks: string | null
}

/** Finds stacks by their labels. Remembers the stacks of places that cannot be listed. */
export interface Discovery {
  /** Lists each place of the configuration once, with the reader of the cycle. Never rejects. */
  discover(config: Config, reader: CloudRunReader, deadline: Deadline): Promise<WatchedStacks>
  /** The wall clock was set by `ms` (negative: back). Observations keep their age. */
  clockSet(ms: number): void
}

type Place = Pick<DiscoveredPlace, 'project' | 'region'>

interface KnownPlace {
  readonly place: DiscoveredPlace
  /** From the last complete list; null before the first. */
  readonly reading: LabelReading | null
  readonly observedAt: EpochMs | null
  readonly error: CheckError | null
}

const maxNamesInLog = 20

export function createDiscovery({ clock, log }: { readonly clock: Clock; readonly log: Log }): Discovery {
  let known: ReadonlyMap<string, KnownPlace> = new Map()
  let found: ReadonlyMap<string, FoundStack> = new Map()
  let unlabelled: readonly UnlabelledStack[] = []

  async function listPlace(place: DiscoveredPlace, reader: CloudRunReader, deadline: Deadline): Promise<KnownPlace> {
    const at = clock.now()
    const isHere = (stack: FoundStack) => keyOf(stack) === keyOf(place)
    const here = [...found.values()].filter(isHere)
    const lost = unlabelled.map(({ stack }) => stack).filter(isHere)
    try {
      const reading = await Promise.race([readPlace(place, here, lost, reader), deadline.over])
      return { place, reading, observedAt: at, error: null }
    } catch (thrown) {
      const { code, message: unmasked } = asDriftwatchError(thrown)
      const message = maskUrls(unmasked)
      const before = known.get(keyOf(place))
      const { project, region } = place
      log[errorTable[code].logLevel]({ project, region, code, error: message }, 'place could not be listed')
      return {
        place,
        reading: before?.reading ?? null,
        observedAt: before?.observedAt ?? null,
        error: { code, message, at },
      }
    }
  }

  return {
    async discover(config, reader, deadline) {
      const places = config.discover?.places ?? []
      const listed = await Promise.all(places.map(place => listPlace(place, reader, deadline)))
      known = new Map(listed.map(each => [keyOf(each.place), each]))
      const before = found
      const labelled = listed.flatMap(({ reading }) => (reading ? withoutOff(reading, before, unlabelled) : []))
      const merged = mergeStacks(config, labelled, before)
      logChanges(log, found, merged.found)
      found = merged.found
      unlabelled = listUnlabelled(unlabelled, {
        before: withoutEntries(before, found),
        watched: merged.stacks,
        readingOf: stack => known.get(keyOf(stack))?.reading ?? null,
        now: clock.now(),
      })
      const states = listed.map(each => stateOf(each, merged, config.staleAfterMs))
      const tooFewStacks = explainShortage(config, states, merged)
      return {
        stacks: merged.stacks,
        places: config.discover && states,
        unlabelled: resolveUnlabelled(config, unlabelled),
        tooFewStacks,
      }
    },
    clockSet(ms) {
      unlabelled = moveUnlabelled(unlabelled, ms)
      known = new Map([...known].map(([key, place]) => [key, { ...place, observedAt: moved(place.observedAt, ms) }]))
    },
  }
}

/** Selects stacks by name (null: all). If all of them exist, only what concerns them remains. */
export function selectStacks(all: WatchedStacks, names: readonly string[] | null): WatchedStacks {
  if (names === null) return all
  const stacks = all.stacks.filter(({ name }) => names.includes(name))
  if (names.some(name => stacks.every(stack => stack.name !== name))) return { ...all, stacks }
  const unlabelled = all.unlabelled.filter(({ stack }) => names.includes(stack.name))
  const places = all.places?.flatMap(place => {
    const problems = place.problems.filter(({ stack }) => names.includes(stack))
    const concerned = problems.length > 0 || stacks.some(stack => keyOf(stack) === keyOf(place))
    return concerned ? [{ ...place, problems }] : []
  })
  return { stacks, places: places ?? null, unlabelled, tooFewStacks: null }
}

/** Why a stack may be missing: places that could not be listed, and problems with its labels. */
export function absenceReasons(places: readonly PlaceState[] | null, name: string): string[] {
  return (places ?? []).flatMap(({ project, region, problems, error }) => [
    ...(error ? [`${project}, ${region} could not be listed: ${error.message}`] : []),
    ...problems.filter(({ stack }) => stack === name).map(({ message }) => message),
  ])
}

/** An entry is counted only if each of its places was listed once: otherwise the place itself is unknown. */
function explainShortage(
  { discover }: Config,
  places: readonly PlaceState[],
  { found, labelled }: ReturnType<typeof mergeStacks>,
): string | null {
  const named = [...found.values(), ...labelled]
  const short = (discover?.minimums ?? []).flatMap(({ places: own, atLeast }) => {
    const isOwn = (place: Place) => own.some(each => keyOf(each) === keyOf(place))
    const count = named.filter(isOwn).length
    if (count >= atLeast || places.some(place => isOwn(place) && place.observedAt === null)) return []
    const where = own.map(({ project, region }) => `${project}, ${region}`).join(' and ')
    return [`${count} of at least ${atLeast} stacks found in ${where}`]
  })
  return short.join('; ') || null
}

/** A job does not keep the stack of a service whose role is `off`. */
function withoutOff(
  { stacks, off, offStacks }: LabelReading,
  found: ReadonlyMap<string, FoundStack>,
  unlabelled: readonly UnlabelledStack[],
): LabelledStack[] {
  const known = [...found.values(), ...unlabelled.map(({ stack }) => stack)]
  const isOff = ({ name, place }: LabelledStack) =>
    offStacks.has(name) ||
    known.some(stack => stack.name === name && keyOf(stack) === keyOf(place) && off.has(stack.service))
  return stacks.filter(stack => stack.services.length > 0 || !isOff(stack))
}

function withoutEntries<Value>(before: ReadonlyMap<string, Value>, after: ReadonlyMap<string, Value>) {
  return new Map([...before].filter(([key]) => !after.has(key)))
}

function moved(moment: EpochMs | null, ms: number): EpochMs | null {
  return moment === null ? null : moment + ms
}

function keyOf({ project, region }: Place): string {
  return `${project}/${region}`
}

/** Reads the labels of a place. A known resource that the list lacks stays unless a `get` confirms that it is absent. */
async function readPlace(
  place: DiscoveredPlace,
  before: readonly FoundStack[],
  lost: readonly FoundStack[],
  reader: CloudRunReader,
): Promise<LabelReading> {
  const [services, jobs] = await Promise.all([reader.services(place), reader.jobs(place)])
  const unlisted = await Promise.all(
    before.flatMap(stack => [
      services.has(stack.service) ? null : confirm(stack, 'service', () => reader.service(place, stack.service)),
      stack.job === null || jobs.has(stack.job)
        ? null
        : confirm(stack, 'job', () => reader.job(place, stack.job as string)),
    ]),
  )
  // A service without labels is known to exist unless a `get` proves otherwise.
  const unread = lost.filter(({ service }) => !services.has(service))
  const unlabelled = await Promise.all(
    unread.map(({ service: name }) => reader.service(place, name).catch(() => ({ name, labels: {} }))),
  )
  const others = unlabelled.filter(service => service !== null)
  const remaining = (kind: keyof typeof discoveryRoles) =>
    unlisted.flatMap(each => (each?.kind === kind && each.resource ? [each.resource] : []))
  return readLabels(
    place,
    [...services.values(), ...remaining('service'), ...others],
    [...jobs.values(), ...remaining('job')],
  )
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

function logChanges(log: Log, before: ReadonlyMap<string, FoundStack>, after: ReadonlyMap<string, FoundStack>): void {
  const found = [...after.keys()].filter(name => !before.has(name))
  const removed = [...before.keys()].filter(name => !after.has(name))
  if (found.length + removed.length === 0) return
  const named = { found: found.slice(0, maxNamesInLog), removed: removed.slice(0, maxNamesInLog) }
  log.info({ ...named, foundCount: found.length, removedCount: removed.length }, 'discovered stacks changed')
}
