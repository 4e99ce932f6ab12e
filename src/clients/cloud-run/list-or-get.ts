import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { asDriftwatchError, type DriftwatchError, type ErrorCode } from '../../errors.ts'
import type { ResourceReader } from './cloud-run.ts'
import { completePagesOf, pagesOf } from './resource-pages.ts'

/** Reads many resources of one kind by whichever of `list` and `get` costs fewer calls. */
export interface ListOrGet<T> {
  /** All that is under a parent, by full resource name. Rejects with a coded error where any of it may be missing. */
  whole(parent: string, deadline: Deadline): Promise<ReadonlyMap<string, T>>
  /** The same answers as `read`, by `get` alone. */
  each(names: readonly string[], deadline: Deadline): Promise<T | null>[]
  /**
   * One answer a full resource name, in their order: the resource, or null for none. Each comes when it is there and
   * rejects by itself, so that no stack waits for another one.
   */
  read(names: readonly string[], deadline: Deadline): Promise<T | null>[]
}

/** What is known of the lists of one parent. */
interface ListMemory {
  /** What reading by list is expected to cost, in `get` calls. */
  cost: number
  /** Not tried before this moment of the monotonic clock, since it was not allowed. */
  retryAt: number
}

/** How long a list that is not allowed is left alone. */
const deniedForMs = 10 * 60_000

/** So much of what is still wanted may be spent on pages that bring too little, before a list is given up. */
const patience = 0.1

/** A list that ends so is not allowed, while a `get` may be. */
const refusals: ReadonlySet<ErrorCode> = new Set([
  'PERMISSION_DENIED',
  'UNIMPLEMENTED',
  'INVALID_ARGUMENT',
  'NOT_FOUND',
])

/**
 * `pageCosts` is what a page of a list costs in `get` calls: more than one where pages are mostly history that nobody asked
 * for.
 */
export function createListOrGet<T>(reader: ResourceReader<T>, clock: Clock, pageCosts = 1): ListOrGet<T> {
  const memories = new Map<string, ListMemory>()

  /** What a list brings, where it is worth a try; the error of one that failed as a `get` would too. */
  async function listGroup(parent: string, names: readonly string[], deadline: Deadline): Promise<Listed<T>> {
    const memory = memories.get(parent) ?? { cost: pageCosts, retryAt: 0 }
    memories.set(parent, memory)
    const found = new Map<string, T>()
    if (names.length <= memory.cost || clock.monotonic() < memory.retryAt) return { found, error: null }
    try {
      await listInto(found, { reader, parent, names, memory, pageCosts, deadline })
    } catch (thrown) {
      const error = asDriftwatchError(thrown)
      if (refusals.has(error.code)) memory.retryAt = clock.monotonic() + deniedForMs
      // What cannot be read says nothing of what a `get` is answered, nor of the next list.
      else if (error.code !== 'MALFORMED_RESPONSE') return { found, error }
    }
    return { found, error: null }
  }

  async function readOne(name: string, listing: Promise<Listed<T>>, deadline: Deadline): Promise<T | null> {
    const { found, error } = await listing
    const listed = found.get(name)
    if (listed !== undefined) return listed
    if (error) throw error
    // Also what a list did not hold, or not legibly: only a `get` proves that it is not there.
    return reader.get(name, deadline)
  }

  return {
    async whole(parent, deadline) {
      const memory = memories.get(parent) ?? { cost: pageCosts, retryAt: 0 }
      memories.set(parent, memory)
      try {
        return await listAll(reader, parent, deadline)
      } catch (thrown) {
        const error = asDriftwatchError(thrown)
        // Whoever reads single ones need not try the same.
        if (refusals.has(error.code)) memory.retryAt = clock.monotonic() + deniedForMs
        throw error
      }
    },
    each: (names, deadline) => names.map(name => reader.get(name, deadline)),
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

/** Lists until everything wanted is found, the list ends, or the rest costs less by `get`. */
async function listInto<T>(
  found: Map<string, T>,
  list: {
    readonly reader: ResourceReader<T>
    readonly parent: string
    readonly names: readonly string[]
    readonly memory: ListMemory
    readonly pageCosts: number
    readonly deadline: Deadline
  },
): Promise<void> {
  const wanted = new Map(list.names.map(name => [belowLocation(name), name]))
  let pages = 0
  for await (const { items, nextPageToken } of pagesOf(list.reader, list.parent, list.deadline)) {
    for (const [name, item] of items) {
      const asked = wanted.get(belowLocation(name))
      if (asked !== undefined) found.set(asked, item)
    }
    pages += 1
    const open = wanted.size - found.size
    list.memory.cost = pages * list.pageCosts + open
    const spent = pages * list.pageCosts
    const yields = found.size >= spent || spent < open * patience
    const givesUp = open <= list.pageCosts || !yields
    if (!nextPageToken || givesUp) return
  }
}

async function listAll<T>(reader: ResourceReader<T>, parent: string, deadline: Deadline): Promise<Map<string, T>> {
  const all = new Map<string, T>()
  for await (const { items } of completePagesOf(reader, parent, deadline))
    for (const [name, item] of items) all.set(name, item)
  return all
}

/**
 * What to list to see the resource: its location for services and jobs; for revisions and executions those of every
 * service or job there.
 */
function listParent(name: string): string {
  const place = locationEnd(name)
  const collection = name.indexOf('/', place + 1)
  return name.includes('/', collection + 1) ? `${name.slice(0, collection)}/-` : name.slice(0, place)
}

/** The name without its project, which Cloud Run may show by number: unique within what one list covers. */
function belowLocation(name: string): string {
  return name.slice(locationEnd(name) + 1)
}

/** Where the location ends in a full resource name: at the fourth slash. */
function locationEnd(name: string): number {
  let at = -1
  for (let slash = 0; slash < 4; slash += 1) {
    at = name.indexOf('/', at + 1)
    if (at === -1) return name.length
  }
  return at
}
