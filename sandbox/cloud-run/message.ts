import { createRequire } from 'node:module'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { isJsonObject, type Json, type JsonObject } from '../merge-patch.ts'

/** A message, an enum or a namespace in the vendor's protos.json. */
interface Descriptor {
  readonly fields?: Record<string, { readonly type: string; readonly rule?: string; readonly keyType?: string }>
  readonly values?: Record<string, number>
  readonly nested?: Record<string, Descriptor>
}

/** The vendor's protos as protobufjs JSON. */
export const protos = createRequire(import.meta.url)('@google-cloud/run/build/protos/protos.json') as Descriptor

/** Service definitions for grpc-js, by full name. */
export const definitions = fromJSON(protos, { keepCase: false, longs: String, enums: String, defaults: true })

/** A resource as google.protobuf.Any, for an operation. */
export function toAny(typeName: string, message: Record<string, unknown>): { type_url: string; value: Buffer } {
  return { type_url: `type.googleapis.com/google.cloud.run.v2.${typeName}`, value: bytesOf(typeName, message) }
}

/** A resource as bytes: equal messages have equal bytes. */
export function bytesOf(typeName: string, message: Record<string, unknown>): Buffer {
  const service = definitions[`google.cloud.run.v2.${typeName}s`] as ServiceDefinition
  const { responseSerialize } = service[`Get${typeName}`] as MethodDefinition<unknown, Record<string, unknown>>
  return responseSerialize(message)
}

/** Converts proto3 JSON, as in the REST API, to a protobufjs object. Throws for fields that the message does not have. */
export function toMessage(typeName: string, json: JsonObject, path: string = typeName): Record<string, unknown> {
  const { name, descriptor } = resolveType(`google.cloud.run.v2.${typeName}`, '')
  return messageOf(name, descriptor, json, path)
}

function messageOf(typeName: string, descriptor: Descriptor, json: JsonObject, path: string): Record<string, unknown> {
  const message: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(json)) {
    const field = descriptor.fields?.[key]
    if (field === undefined) throw new Error(`${path}.${key}: ${typeName} has no such field`)
    if (field.keyType !== undefined) message[key] = value
    else if (field.rule === 'repeated') message[key] = listOf(field.type, typeName, value, `${path}.${key}`)
    else message[key] = fieldValue(field.type, typeName, value, `${path}.${key}`)
  }
  return message
}

function listOf(type: string, scope: string, value: Json, path: string): unknown[] {
  if (!Array.isArray(value)) throw new Error(`${path}: expected a list`)
  return value.map((item, index) => fieldValue(type, scope, item, `${path}[${index}]`))
}

function fieldValue(type: string, scope: string, value: Json, path: string): unknown {
  if (type === 'google.protobuf.Timestamp') return timestampOf(value, path)
  if (type === 'google.protobuf.Duration') return durationOf(value, path)
  if (/^[a-z0-9]+$/.test(type)) {
    if (typeof value === 'object') throw new Error(`${path}: expected a ${type}`)
    return value
  }
  const { name, descriptor } = resolveType(type, scope)
  if (descriptor.values !== undefined) return enumOf(name, descriptor.values, value, path)
  if (!isJsonObject(value)) throw new Error(`${path}: expected a ${name}`)
  return messageOf(name, descriptor, value, path)
}

/** An enum value by name; a number is allowed for values that are newer than the protos. */
function enumOf(name: string, values: Record<string, number>, value: Json, path: string): number {
  if (typeof value === 'number') return value
  const number = typeof value === 'string' ? values[value] : undefined
  if (number === undefined) throw new Error(`${path}: ${JSON.stringify(value)} is not a ${name}`)
  return number
}

function timestampOf(value: Json, path: string): { seconds: number; nanos: number } {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN
  if (Number.isNaN(ms))
    throw new Error(`${path}: ${JSON.stringify(value)} is not a time (RFC 3339, or relative like -26h)`)
  const seconds = Math.floor(ms / 1000)
  return { seconds, nanos: (ms - seconds * 1000) * 1_000_000 }
}

function durationOf(value: Json, path: string): { seconds: number; nanos: number } {
  const match = typeof value === 'string' ? /^([0-9]+)s$/.exec(value) : null
  if (match === null) throw new Error(`${path}: ${JSON.stringify(value)} is not a duration (like 300s)`)
  return { seconds: Number(match[1]), nanos: 0 }
}

/** Resolves a type name as protobuf does: from the inner scope to the outer. */
function resolveType(type: string, scope: string): { name: string; descriptor: Descriptor } {
  for (let outer = scope; ; outer = outer.slice(0, Math.max(0, outer.lastIndexOf('.')))) {
    const name = outer === '' ? type : `${outer}.${type}`
    const descriptor = name.split('.').reduce<Descriptor | undefined>((at, segment) => at?.nested?.[segment], protos)
    if (descriptor !== undefined) return { name, descriptor }
    if (outer === '') throw new Error(`the vendor's protos do not define ${type}`)
  }
}
