import { createHash } from 'node:crypto'
import type { World } from '../world.ts'
import { toMessage } from './message.ts'
import { type Collection, collections, isUnder, notFound } from './names.ts'

export type ListOrder = 'newest-first' | 'shuffled'

export type Message = Record<string, unknown>

interface Stored {
  readonly name: string
  readonly createTime: string
  readonly deleted: boolean
  readonly message: Message
}

/** The resources of Cloud Run as messages. Changes that are due are applied before each read. */
export interface Store {
  get(collection: Collection, name: string): Message
  list(collection: Collection, parent: string, options: { order: ListOrder; showDeleted: boolean }): Message[]
  /** Adds or replaces a resource. */
  put(collection: Collection, name: string, message: Message): void
  /** Schedules a change in `ms`. */
  later(ms: number, change: () => void): void
}

export function createStore(world: World): Store {
  const stored = Object.fromEntries(
    Object.keys(collections).map(collection => [collection, storedOf(world, collection as Collection)]),
  ) as Record<Collection, Map<string, Stored>>
  /** Lists since the last change, so that a large fleet is not sorted for every page. */
  const listed = new Map<string, Message[]>()
  let changes: { readonly at: number; readonly change: () => void }[] = []

  /** Due changes are applied at the next request, so that no timer is needed. */
  function catchUp(): void {
    const now = performance.now()
    const due = changes.filter(each => each.at <= now).sort((one, other) => one.at - other.at)
    changes = changes.filter(each => each.at > now)
    for (const { change } of due) change()
  }

  return {
    get(collection, name) {
      catchUp()
      const found = stored[collection].get(name)
      if (found === undefined) throw notFound(collection, name)
      return found.message
    },
    list(collection, parent, { order, showDeleted }) {
      catchUp()
      const key = JSON.stringify([collection, parent, order, showDeleted])
      const list = listed.get(key) ?? listOf(stored[collection].values(), parent, { order, showDeleted })
      listed.set(key, list)
      return list
    },
    put(collection, name, message) {
      listed.clear()
      const before = stored[collection].get(name)
      const createTime = before?.createTime ?? new Date().toISOString()
      stored[collection].set(name, { name, createTime, deleted: before?.deleted ?? false, message })
    },
    later(ms, change) {
      changes.push({ at: performance.now() + ms, change })
    },
  }
}

function listOf(
  all: Iterable<Stored>,
  parent: string,
  { order, showDeleted }: { order: ListOrder; showDeleted: boolean },
): Message[] {
  return [...all]
    .filter(each => isUnder(parent, each.name) && (showDeleted || !each.deleted))
    .sort(order === 'shuffled' ? byHash : newestFirst)
    .map(each => each.message)
}

function storedOf(world: World, collection: Collection): Map<string, Stored> {
  return new Map(
    Object.entries(world[collection]).map(([name, resource]) => {
      const message = toMessage(collections[collection].message, resource, name)
      const { createTime = '', deleteTime } = resource
      return [name, { name, createTime: String(createTime), deleted: deleteTime !== undefined, message }]
    }),
  )
}

function newestFirst(one: Stored, other: Stored): number {
  return Date.parse(other.createTime) - Date.parse(one.createTime) || one.name.localeCompare(other.name)
}

/** An arbitrary order that is the same for all pages. */
function byHash(one: Stored, other: Stored): number {
  return hashOf(one.name).localeCompare(hashOf(other.name))
}

function hashOf(name: string): string {
  return createHash('sha256').update(name).digest('hex')
}
