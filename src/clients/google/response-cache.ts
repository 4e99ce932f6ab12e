import { isDeepStrictEqual } from 'node:util'
import { type CallOptions, type grpc, protobuf } from 'google-gax'
import { createBoundedCache } from '../../bounded-cache.ts'

/** A resource of a response. */
export interface CachedResource<T> {
  /** The full resource name; empty if the resource has none. */
  readonly name: string
  /** Throws if the bytes are not a valid message, and whatever `translate` throws. */
  decode(): T
}

/**
 * Decodes responses of Google's APIs, and nothing twice: a resource whose bytes have not changed is the same object as
 * before. In a steady fleet these are all resources of all pages, and decoding them would cost more than everything else.
 */
export interface ResponseCache {
  /** Options for a call that returns one resource: it resolves with a `CachedResource`. */
  one(): DecodeOptions
  /** Options for a call that returns a page of a list: its resources are `CachedResource`s. */
  page(): DecodeOptions
}

/** The part of a call's options that replaces the vendor's decoder; new for each call. */
export type DecodeOptions = Required<Pick<CallOptions, 'otherArgs'>>

export interface ResponseCacheOptions<M, T> {
  /** The name of the field of a page that contains its resources. Its number must be 1. */
  readonly field: string
  readonly translate: (message: M) => T
  /** Limits the cache; the least recently used resources are dropped first. */
  readonly maxBytes: number
}

type Deserialize = (bytes: Buffer) => unknown

interface Entry<T> {
  readonly bytes: Buffer
  readonly value: T
}

export function createResponseCache<M extends { name?: string | null }, T extends object>({
  field,
  translate,
  maxBytes,
}: ResponseCacheOptions<M, T>): ResponseCache {
  const entries = createBoundedCache<Entry<T>>(maxBytes, ({ bytes }) => bytes.length)

  function lookUp(bytes: Buffer): CachedResource<T> | null {
    const name = readName(bytes)
    const before = entries.get(name)
    return before?.bytes.equals(bytes) ? { name, decode: () => before.value } : null
  }

  function fromMessage(bytes: Buffer, message: M): CachedResource<T> {
    const name = message.name ?? ''
    return { name, decode: () => store(name, bytes, translate(message)) }
  }

  /** Returns the previous object also if the bytes differ only in what Driftwatch does not read. */
  function store(name: string, bytes: Buffer, fresh: T): T {
    const before = entries.get(name)?.value
    const value = before !== undefined && isDeepStrictEqual(before, fresh) ? before : fresh
    entries.set(name, { bytes: copyOf(bytes), value })
    return value
  }

  /** An invalid resource does not affect the others. */
  function decodePart(deserialize: Deserialize, { whole, body }: Part): CachedResource<T> {
    try {
      return lookUp(body) ?? fromMessage(body, (deserialize(whole) as Record<string, M[]>)[field]?.[0] as M)
    } catch (thrown) {
      const decode = () => {
        throw thrown
      }
      return { name: readName(body), decode }
    }
  }

  /** The vendor's code decodes what is not cached: each resource by itself, and the other fields of the page. */
  function decodePage(deserialize: Deserialize, bytes: Buffer): unknown {
    const parts = split(bytes)
    const others = parts.filter(({ number }) => number !== 1)
    const resources = parts.filter(({ number }) => number === 1).map(part => decodePart(deserialize, part))
    return { ...(deserialize(Buffer.concat(others.map(({ whole }) => whole))) as object), [field]: resources }
  }

  return {
    one: () => decodeWith((deserialize, bytes) => lookUp(bytes) ?? fromMessage(bytes, deserialize(bytes) as M)),
    page: () => decodeWith(decodePage),
  }
}

/** In memory of its own: a slice would retain the whole page, or the pool from which Node.js cuts small buffers. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

/** `decode` is called instead of the vendor's deserializer, and gets it as an argument. */
function decodeWith(decode: (deserialize: Deserialize, bytes: Buffer) => unknown): DecodeOptions {
  const interceptor: grpc.Interceptor = (options, nextCall) => {
    // Each call has its own definition.
    const definition = options.method_definition
    const deserialize = definition.responseDeserialize
    definition.responseDeserialize = bytes => decode(deserialize, bytes)
    return nextCall(options) as grpc.InterceptingCall
  }
  return { otherArgs: { options: { interceptors: [interceptor] } } }
}

interface Part {
  readonly number: number
  /** The field with its tag. */
  readonly whole: Buffer
  /** The content of the field. */
  readonly body: Buffer
}

/** The fields of a message, in order. Throws a RangeError if the bytes end within a field. */
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

/** The name of a resource, which is its field 1 and comes first; empty if it does not. */
function readName(bytes: Buffer): string {
  if (bytes[0] !== ((1 << 3) | lengthDelimited)) return ''
  const reader = protobuf.Reader.create(bytes)
  reader.uint32()
  try {
    return reader.string()
  } catch {
    return ''
  }
}
