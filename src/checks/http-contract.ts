import { matchesPattern } from '../config/pattern.ts'
import type { Assertion, HttpContractConfig, HttpRequestConfig } from '../config/sections/http-contract.ts'
import { formatDuration } from '../duration.ts'
import { maskQuery, printable } from '../printable.ts'
import type { HttpAnswer } from '../release/http-answer.ts'
import { followPointer } from '../release/json-pointer.ts'
import type { Check } from './check.ts'
import { cannotJudge, conclude, differs, inSync, type Part } from './finding.ts'

type Answered = Extract<HttpAnswer, { readonly kind: 'answered' }>

/** Every request of the contract gets its status in time, and a document that fulfils the assertions. */
export const httpContract: Check<'http'> = {
  kind: 'http-contract',
  needs: ['http'],
  appliesTo: stack => stack.httpContract !== null,
  judge({ stack, observed }) {
    const contract = stack.httpContract as HttpContractConfig
    const { requests } = contract
    const parts = requests.flatMap(request => judgeRequest(request, observed.http.get(request.name)))
    return conclude(parts, `All requests match the contract: ${requests.map(({ name }) => name).join(', ')}.`)
  },
}

function judgeRequest(request: HttpRequestConfig, answer: HttpAnswer | undefined): Part[] {
  const { name, status } = request
  if (!answer) return [cannotJudge({ code: 'BUG', message: `request ${name} was not observed` })]
  if (answer.kind === 'failed')
    return [cannotJudge({ code: answer.code, message: `request ${name} failed: ${answer.message}` })]
  if (answer.kind === 'silent') return [judgeSilence(request, answer.waitedMs)]
  if (answer.status !== status) return [judgeStatus(request, answer)]
  return [judgeLatency(request, answer), ...judgeDocument(request, answer)]
}

/** A request without access proves nothing about the contract. */
function judgeStatus({ name, path, status }: HttpRequestConfig, answer: Answered): Part {
  const actual = answer.location === null ? String(answer.status) : `${answer.status} to ${answer.location}`
  if (answer.status === 401 || answer.status === 403) {
    const code = answer.status === 401 ? 'UNAUTHENTICATED' : 'PERMISSION_DENIED'
    const message = `request ${name} (${maskQuery(path)}) was rejected with ${actual}. Check the token of Driftwatch, or grant it roles/run.invoker.`
    return cannotJudge({ code, message })
  }
  const summary = `Request ${name} (${maskQuery(path)}) returned ${actual} instead of ${status}.`
  return differs('drifted', summary, { path: `${name}.status`, expected: String(status), actual })
}

function judgeLatency({ name, maxLatencyMs }: HttpRequestConfig, { latencyMs }: Answered): Part {
  if (latencyMs <= maxLatencyMs) return inSync
  const [expected, actual] = [`at most ${formatDuration(maxLatencyMs)}`, `${Math.round(latencyMs)} ms`]
  const summary = `Request ${name} took ${actual} in the faster of two attempts (limit: ${formatDuration(maxLatencyMs)}).`
  return differs('drifted', summary, { path: `${name}.latency`, expected, actual })
}

/** A response that is still incomplete after the limit is late, whatever it may contain. */
function judgeSilence({ name, maxLatencyMs }: HttpRequestConfig, waitedMs: number): Part {
  const [allowed, waited] = [formatDuration(maxLatencyMs), formatDuration(waitedMs)]
  const summary = `Request ${name} had no complete response after ${waited} (limit: ${allowed}).`
  const [expected, actual] = [`at most ${allowed}`, `more than ${waited}`]
  return differs('drifted', summary, { path: `${name}.latency`, expected, actual })
}

function judgeDocument({ name, expect }: HttpRequestConfig, { document }: Answered): Part[] {
  if (expect.length === 0) return []
  if (document.kind === 'json') return expect.map(assertion => judgeAssertion(name, assertion, document.value))
  const summary = `Request ${name} returned ${document.what} instead of a JSON document.`
  return [differs('drifted', summary, { path: `${name}.body`, expected: 'a JSON document', actual: document.what })]
}

function judgeAssertion(name: string, assertion: Assertion, document: unknown): Part {
  const { at, present } = assertion
  const path = `${name}#${at}`
  const pointed = followPointer(document, at)
  const place = at === '' ? 'the document' : at
  const expected = describeAssertion(assertion)
  if (pointed.kind === 'nothing') {
    if (!present) return inSync
    const existing = pointed.upTo === '' ? '' : `; only ${pointed.upTo} exists`
    const summary = `The response of ${name} has no value at ${place}${existing}.`
    return differs('drifted', summary, { path, expected })
  }
  const actual = showValue(assertion, pointed.value)
  if (!present) {
    const summary = `The response of ${name} has a value at ${place}, which must be absent.`
    return differs('drifted', summary, { path, actual })
  }
  if (isFulfilled(assertion, pointed.value)) return inSync
  const summary = `In the response of ${name}, ${place} is ${actual}; expected a value ${expected}.`
  return differs('drifted', summary, { path, expected, actual })
}

/** Patterns are matched against at most this many characters. */
const longestMatched = 10_000

function isFulfilled({ type, equal, matches }: Assertion, value: unknown): boolean {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  if (type !== null && !isOfType(type, value)) return false
  if (equal !== null && text !== equal) return false
  return matches === null || matchesPattern(matches, text.slice(0, longestMatched))
}

function isOfType(type: NonNullable<Assertion['type']>, value: unknown): boolean {
  if (type === 'null') return value === null
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return type === 'integer' ? Number.isInteger(value) : typeof value === type
}

function describeAssertion({ type, equal, matches }: Assertion): string {
  const words = [
    type !== null && `of type ${type}`,
    equal !== null && `equal to ${equal}`,
    matches !== null && `matching ${matches}`,
  ].filter(word => word)
  return words.length > 0 ? words.join(', ') : 'anything'
}

const longestShown = 60

/**
 * Shows the type only, and the value of a scalar only if the assertion is about its value: the document may be
 * confidential.
 */
function showValue({ equal, matches }: Assertion, value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  if (equal === null && matches === null) return `of type ${typeof value}`
  const text = printable(JSON.stringify(value))
  return text.length > longestShown ? `${text.slice(0, longestShown - 3)}...` : text
}
