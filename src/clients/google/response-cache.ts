import { isDeepStrictEqual } from 'node:util'
import { type CallOptions, type grpc, protobuf } from 'google-gax'
import { createBoundedCache } from '../../bounded-cache.ts'

/** A resource of an answer. */
export interface CachedResource<T> {
  /** Its full resource name; empty where it has none. */
  readonly name: string
  /** Throws where it is no message, and what the translation of its message throws. */
  decode(): T
}

/**
 * Reads answers of Google's, and reads nothing twice: a resource that comes in the same bytes as last time is the very
 * object of then. In a steady fleet that is every resource of every page, whose messages would cost more than all else.
 */
export interface ResponseCache {
  /** Options for a call that is answered with one resource: it resolves with an `Arrival`. */
  one(): Reading
  /** Options for a call that is answered with a page of a list: its resources are `Arrival`s. */
  page(): Reading
}

/** The part of a call's options that says how its answer is read: new ones for each call. */
export type Reading = Required<Pick<CallOptions, 'otherArgs'>>

export interface ResponseCacheOptions<M, T> {
  /** The field of a page that holds its resources; by its number it is the first. */
  readonly field: string
  readonly translate: (message: M) => T
  /** The bytes of so many resources are kept, of those that were used last. */
  readonly maxBytes: number
}

type Deserialize = (bytes: Buffer) => unknown

interface Kept<T> {
  readonly bytes: Buffer
  readonly value: T
}

export function createResponseCache<M extends { name?: string | null }, T extends object>({
  field,
  translate,
  maxBytes,
}: ResponseCacheOptions<M, T>): ResponseCache {
  const kept = createBoundedCache<Kept<T>>(maxBytes, ({ bytes }) => bytes.length)

  function recall(bytes: Buffer): CachedResource<T> | null {
    const name = nameIn(bytes)
    const before = kept.get(name)
    return before?.bytes.equals(bytes) ? { name, decode: () => before.value } : null
  }

  function arrive(bytes: Buffer, message: M): CachedResource<T> {
    const name = message.name ?? ''
    return { name, decode: () => keep(name, bytes, translate(message)) }
  }

  /** Bytes may differ where nothing does that counts: then too it is the object of before, into which nobody need look. */
  function keep(name: string, bytes: Buffer, fresh: T): T {
    const before = kept.get(name)?.value
    const value = before !== undefined && isDeepStrictEqual(before, fresh) ? before : fresh
    kept.set(name, { bytes: copyOf(bytes), value })
    return value
  }

  function readOne(deserialize: Deserialize, bytes: Buffer): CachedResource<T> {
    return recall(bytes) ?? arrive(bytes, deserialize(bytes) as M)
  }

  /** One that is no message costs itself alone. */
  function readPart(deserialize: Deserialize, { whole, body }: Part): CachedResource<T> {
    try {
      return recall(body) ?? arrive(body, (deserialize(whole) as Record<string, M[]>)[field]?.[0] as M)
    } catch (thrown) {
      return { name: nameIn(body), decode: throwing(thrown) }
    }
  }

  /** The vendor's own code reads what is not known: each resource by itself, and what else is on the page. */
  function readPage(deserialize: Deserialize, bytes: Buffer): unknown {
    const parts = split(bytes)
    const others = parts.filter(({ number }) => number !== 1)
    const arrivals = parts.filter(({ number }) => number === 1).map(part => readPart(deserialize, part))
    return { ...(deserialize(Buffer.concat(others.map(({ whole }) => whole))) as object), [field]: arrivals }
  }

  return {
    one: () => readingBy(readOne),
    page: () => readingBy(readPage),
  }
}

function throwing(thrown: unknown): () => never {
  return () => {
    throw thrown
  }
}

/** With memory of its own: a part of a page, or of the pool that Node.js cuts small buffers from, would keep all of that. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

/** What is called in place of the vendor's own deserializer, which it is given. */
function readingBy(read: (deserialize: Deserialize, bytes: Buffer) => unknown): Reading {
  const interceptor: grpc.Interceptor = (options, nextCall) => {
    // Each call has a definition of its own.
    const definition = options.method_definition
    const deserialize = definition.responseDeserialize
    definition.responseDeserialize = bytes => read(deserialize, bytes)
    return nextCall(options) as grpc.InterceptingCall
  }
  return { otherArgs: { options: { interceptors: [interceptor] } } }
}

interface Part {
  readonly number: number
  /** The field as it stands, and what is in it. */
  readonly whole: Buffer
  readonly body: Buffer
}

/** The fields of a message, in their order. Throws a RangeError where the bytes end within one. */
function split(bytes: Buffer): Part[] {
  const reader = protobuf.Reader.create(bytes)
  const parts: Part[] = []
  while (reader.pos < reader.len) {
    const begin = reader.pos
    const tag = reader.uint32()
    const { pos } = reader
    reader.skipType(tag & 7)
    const end = reader.pos
    reader.pos = pos
    if ((tag & 7) === lengthDelimited) reader.uint32()
    parts.push({ number: tag >>> 3, whole: bytes.subarray(begin, end), body: bytes.subarray(reader.pos, end) })
    reader.pos = end
  }
  return parts
}

const lengthDelimited = 2

/** What stands first in every resource: its name, as field 1. Empty where something else does. */
function nameIn(bytes: Buffer): string {
  if (bytes[0] !== ((1 << 3) | lengthDelimited)) return ''
  const reader = protobuf.Reader.create(bytes)
  reader.uint32()
  try {
    return reader.string()
  } catch {
    return ''
  }
}
