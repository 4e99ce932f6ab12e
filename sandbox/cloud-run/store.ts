import { createHash } from 'node:crypto'
import type { World } from '../world.ts'
import { toMessage } from './message.ts'
import { type Collection, collections, isUnder, notFound } from './names.ts'

export type ListOrder = 'newest-first' | 'shuffled'

type Message = Record<string, unknown>

interface Stored {
  readonly name: string
  readonly createTime: string
  readonly deleted: boolean
  readonly message: Message
}

/** What Cloud Run holds, ready for the wire. */
export interface Store {
  get(collection: Collection, name: string): Message
  list(collection: Collection, parent: string, options: { order: ListOrder; showDeleted: boolean }): Message[]
}

export function createStore(world: World): Store {
  const stored = Object.fromEntries(
    Object.keys(collections).map(collection => [collection, storedOf(world, collection as Collection)]),
  ) as Record<Collection, Map<string, Stored>>
  return {
    get(collection, name) {
      const found = stored[collection].get(name)
      if (found === undefined) throw notFound(collection, name)
      return found.message
    },
    list(collection, parent, { order, showDeleted }) {
      return [...stored[collection].values()]
        .filter(each => isUnder(parent, each.name) && (showDeleted || !each.deleted))
        .sort(order === 'shuffled' ? byHash : newestFirst)
        .map(each => each.message)
    },
  }
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

/** An order that is the same from page to page, and that nobody can lean on. */
function byHash(one: Stored, other: Stored): number {
  return hashOf(one.name).localeCompare(hashOf(other.name))
}

function hashOf(name: string): string {
  return createHash('sha256').update(name).digest('hex')
}
