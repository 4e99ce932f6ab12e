import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { asDriftwatchError, type DriftwatchError, type ErrorCode } from '../../errors.ts'
import type { ResourcePage, ResourceReader } from './cloud-run.ts'
import { completePagesOf, pagesOf } from './resource-pages.ts'

/** Reads resources of one kind by `list` or by `get`, whichever costs fewer calls. */
export interface ListOrGet<T> {
  /** All resources of a parent. Rejects with a coded error if any may be missing. */
  all(parent: string, deadline: Deadline): Promise<T[]>
  /** Like `read`, by `get` only. */
  get(names: readonly string[], deadline: Deadline): Promise<T | null>[]
  /** For each full resource name the resource, or null if it does not exist. Each promise settles by itself. */
  read(names: readonly string[], deadline: Deadline): Promise<T | null>[]
}

/** What is known about the lists of one parent. */
interface ListState {
  /** The expected cost of reading by list, in `get` calls. */
  cost: number
  /** After a rejected list: when to try again, on the monotonic clock. */
  retryAt: number
}

const retryRejectedAfterMs = 10 * 60_000

/** Reading by list stops when it costs more calls than it saves, and more than this share of what is missing. */
const patience = 0.1

/** Error codes after which a list is not retried soon, while a `get` may succeed. */
const rejections: ReadonlySet<ErrorCode> = new Set([
  'PERMISSION_DENIED',
  'UNIMPLEMENTED',
  'INVALID_ARGUMENT',
  'NOT_FOUND',
])

/** `pageCost` is the cost of a page in `get` calls: more than one if most items of a page are not needed. */
export function createListOrGet<T>(reader: ResourceReader<T>, clock: Clock, pageCost = 1): ListOrGet<T> {
  const states = new Map<string, ListState>()

  function stateOf(parent: string): ListState {
    const state = states.get(parent) ?? { cost: pageCost, retryAt: 0 }
    states.set(parent, state)
    return state
  }

  /** Lists if that may cost less. `error` is set if a `get` would fail likewise. */
  async function listGroup(parent: string, names: readonly string[], deadline: Deadline): Promise<Listed<T>> {
    const state = stateOf(parent)
    const found = new Map<string, T>()
    if (names.length <= state.cost || clock.monotonic() < state.retryAt) return { found, error: null }
    try {
      await listInto(found, pagesOf(reader, parent, deadline), names, state, pageCost)
    } catch (thrown) {
      const error = asDriftwatchError(thrown)
      if (rejections.has(error.code)) state.retryAt = clock.monotonic() + retryRejectedAfterMs
      // After a malformed list a `get`, or the next list, may succeed.
      else if (error.code !== 'MALFORMED_RESPONSE') return { found, error }
    }
    return { found, error: null }
  }

  async function readOne(name: string, listing: Promise<Listed<T>>, deadline: Deadline): Promise<T | null> {
    const { found, error } = await listing
    const listed = found.get(name)
    if (listed !== undefined) return listed
    if (error) throw error
    // The list may lack a resource that exists, or contain it unparseable: only a `get` proves that it is absent.
    return reader.get(name, deadline)
  }

  return {
    async all(parent, deadline) {
      const all: T[] = []
      try {
        for await (const { items } of completePagesOf(reader, parent, deadline)) all.push(...items.values())
        return all
      } catch (thrown) {
        const error = asDriftwatchError(thrown)
        if (rejections.has(error.code)) stateOf(parent).retryAt = clock.monotonic() + retryRejectedAfterMs
        throw error
      }
    },
    get: (names, deadline) => names.map(name => reader.get(name, deadline)),
    read(names, deadline) {
      const groups = Map.groupBy(names, listParent)
      const listings = new Map([...groups].map(([parent, group]) => [parent, listGroup(parent, group, deadline)]))
      return names.map(name => readOne(name, listings.get(listParent(name)) as Promise<Listed<T>>, deadline))
    },
  }
}

interface Listed<T> {
  readonly found: ReadonlyMap<string, T>
  readonly error: DriftwatchError | null
}

/** Lists until all resources are found, the list ends, or the rest costs less by `get`. */
async function listInto<T>(
  found: Map<string, T>,
  list: AsyncIterable<ResourcePage<T>>,
  names: readonly string[],
  state: ListState,
  pageCost: number,
): Promise<void> {
  const wanted = new Map(names.map(name => [belowLocation(name), name]))
  let pages = 0
  for await (const { items, nextPageToken } of list) {
    for (const [name, item] of items) {
      const wantedName = wanted.get(belowLocation(name))
      if (wantedName !== undefined) found.set(wantedName, item)
    }
    pages += 1
    const missing = wanted.size - found.size
    const spent = pages * pageCost
    state.cost = spent + missing
    const paysOff = found.size >= spent || spent < missing * patience
    if (!nextPageToken || missing <= pageCost || !paysOff) return
  }
}

/** The parent to list: the location for services and jobs; all services or jobs there for revisions and executions. */
function listParent(name: string): string {
  const place = locationEnd(name)
  const collection = name.indexOf('/', place + 1)
  return name.includes('/', collection + 1) ? `${name.slice(0, collection)}/-` : name.slice(0, place)
}

/** The name without its project, which Cloud Run may show as a number; unique within one list. */
function belowLocation(name: string): string {
  return name.slice(locationEnd(name) + 1)
}

/** The index at which the location ends in a full resource name: the fourth slash. */
function locationEnd(name: string): number {
  let at = -1
  for (let slash = 0; slash < 4; slash += 1) {
    at = name.indexOf('/', at + 1)
    if (at === -1) return name.length
  }
  return at
}
