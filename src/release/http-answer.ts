import type { ErrorCode } from '../errors.ts'

/** What came of one request. */
export type HttpAnswer =
  | {
      readonly kind: 'answered'
      readonly status: number
      /** Of the whole answer, in milliseconds. */
      readonly latencyMs: number
      /** Where a redirect to another host points, without query and user, which was not followed; null for every other answer. */
      readonly location: string | null
      readonly document: JsonDocument
    }
  /** The request was sent, and so long after it no whole answer had come. */
  | { readonly kind: 'silent'; readonly waitedMs: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }

/** A body as JSON, or why it is none. */
export type JsonDocument =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'other'; readonly what: string }

/** By the name of the request in the config. */
export type HttpAnswers = ReadonlyMap<string, HttpAnswer>

export function parseDocument(body: string, contentType: string | null): JsonDocument {
  try {
    return { kind: 'json', value: JSON.parse(body) }
  } catch {
    return { kind: 'other', what: describeBody(body, contentType) }
  }
}

function describeBody(body: string, contentType: string | null): string {
  if (body.trim() === '') return 'an empty body'
  if (/^text\/html\b/i.test(contentType ?? '') || /^\s*(<!doctype html|<html)/i.test(body)) return 'an HTML page'
  const [mediaType] = /^[\w.+-]{1,60}\/[\w.+-]{1,60}/.exec(contentType ?? '') ?? []
  return mediaType === undefined ? 'a body that is no JSON' : `a body of type ${mediaType} that is no JSON`
}
