import type { ErrorCode } from '../errors.ts'

/** The result of one request. */
export type HttpAnswer =
  | {
      readonly kind: 'answered'
      readonly status: number
      /** Until the response was complete, in milliseconds. */
      readonly latencyMs: number
      /** The target of a redirect to another host, without query and user; such redirects are not followed. Otherwise null. */
      readonly location: string | null
      readonly document: JsonDocument
    }
  /** The response was not complete after `waitedMs`. */
  | { readonly kind: 'silent'; readonly waitedMs: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }

/** A body as JSON, or a description of what it is instead. */
export type JsonDocument =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'other'; readonly what: string }

/** By the name of the request in the configuration. */
export type HttpAnswers = ReadonlyMap<string, HttpAnswer>

export function parseDocument(
  body: string,
  contentType: string | null,
  conceal: (text: string) => string,
): JsonDocument {
  try {
    // JSON can escape any character, so that a secret is found only in the parsed texts.
    return { kind: 'json', value: JSON.parse(body, (_, value) => (typeof value === 'string' ? conceal(value) : value)) }
  } catch {
    return { kind: 'other', what: describeBody(conceal(body), contentType && conceal(contentType)) }
  }
}

function describeBody(body: string, contentType: string | null): string {
  if (body.trim() === '') return 'an empty body'
  if (/^text\/html\b/i.test(contentType ?? '') || /^\s*(<!doctype html|<html)/i.test(body)) return 'an HTML page'
  const [mediaType] = /^[\w.+-]{1,60}\/[\w.+-]{1,60}/.exec(contentType ?? '') ?? []
  return mediaType === undefined ? 'a body that is not JSON' : `a body of type ${mediaType} that is not JSON`
}
