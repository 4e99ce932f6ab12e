import { matchesPattern } from '../config/pattern.ts'
import type { Assertion, HttpContractConfig, HttpRequestConfig } from '../config/sections/http-contract.ts'
import { formatDuration } from '../duration.ts'
import { printable } from '../printable.ts'
import type { HttpAnswer } from '../release/http-answer.ts'
import { followPointer } from '../release/json-pointer.ts'
import type { Check } from './check.ts'
import type { Difference } from './finding.ts'
import { sendRequest } from './fix.ts'
import { cannotJudge, conclude, differs, inSync, type Part } from './parts/part.ts'

type Answered = Extract<HttpAnswer, { readonly kind: 'answered' }>

/** Every request of the contract is answered in time, with the status, and with what must hold of the document. */
export const httpContract: Check<'http'> = {
  kind: 'http-contract',
  needs: ['http'],
  appliesTo: stack => stack.httpContract !== null,
  judge({ stack, observed }) {
    const contract = stack.httpContract as HttpContractConfig
    const { requests } = contract
    const parts = requests.flatMap(request => judgeRequest(request, observed.http.get(request.name)))
    return conclude(parts, {
      inSync: `${requests.map(({ name }) => name).join(', ')}: answered as the contract says`,
      fix: differences => fixFor(contract, differences),
    })
  },
}

function fixFor(contract: HttpContractConfig, [first]: readonly Difference[]): string | null {
  const broken = contract.requests.find(({ name }) => first && /^[^.#]*/.exec(first.path)?.[0] === name)
  return broken ? sendRequest(contract, broken) : null
}

function judgeRequest(request: HttpRequestConfig, answer: HttpAnswer | undefined): Part[] {
  const { name, status } = request
  if (!answer) return [cannotJudge({ code: 'BUG', message: `${name}: no answer was looked at` })]
  if (answer.kind === 'failed') return [cannotJudge({ code: answer.code, message: `${name}: ${answer.message}` })]
  if (answer.kind === 'silent') return [judgeSilence(request, answer.waitedMs)]
  if (answer.status !== status) return [judgeStatus(request, answer)]
  return [judgeLatency(request, answer), ...judgeDocument(request, answer)]
}

/** Who is not let in has not seen whether the contract holds. */
function judgeStatus({ name, path, status }: HttpRequestConfig, answer: Answered): Part {
  const actual = answer.location === null ? String(answer.status) : `${answer.status} to ${answer.location}`
  if (answer.status === 401 || answer.status === 403) {
    const code = answer.status === 401 ? 'UNAUTHENTICATED' : 'PERMISSION_DENIED'
    const message = `${name}: ${path} answers ${actual} to Driftwatch: check its token, or grant roles/run.invoker`
    return cannotJudge({ code, message })
  }
  const summary = `${name}: ${path} answers ${actual} instead of ${status}`
  return differs('drifted', summary, { path: `${name}.status`, kind: 'changed', expected: String(status), actual })
}

function judgeLatency({ name, maxLatencyMs }: HttpRequestConfig, { latencyMs }: Answered): Part {
  if (latencyMs <= maxLatencyMs) return inSync
  const [expected, actual] = [`at most ${formatDuration(maxLatencyMs)}`, `${Math.round(latencyMs)} ms`]
  const summary = `${name}: the answer took ${actual}, twice; ${formatDuration(maxLatencyMs)} are allowed`
  return differs('drifted', summary, { path: `${name}.latency`, kind: 'changed', expected, actual })
}

/** What has not come by now took longer than it may, whatever would have come. */
function judgeSilence({ name, maxLatencyMs }: HttpRequestConfig, waitedMs: number): Part {
  const [allowed, waited] = [formatDuration(maxLatencyMs), formatDuration(waitedMs)]
  const summary = `${name}: no whole answer ${waited} after the request; ${allowed} are allowed`
  const [expected, actual] = [`at most ${allowed}`, `more than ${waited}`]
  return differs('drifted', summary, { path: `${name}.latency`, kind: 'changed', expected, actual })
}

function judgeDocument({ name, expect }: HttpRequestConfig, { document }: Answered): Part[] {
  if (expect.length === 0) return []
  if (document.kind === 'json') return expect.map(assertion => judgeAssertion(name, assertion, document.value))
  const summary = `${name}: the answer is ${document.what}, and not the JSON document of the contract`
  const difference = {
    path: `${name}.body`,
    kind: 'changed',
    expected: 'a JSON document',
    actual: document.what,
  } as const
  return [differs('drifted', summary, difference)]
}

function judgeAssertion(name: string, assertion: Assertion, document: unknown): Part {
  const { at, present } = assertion
  const path = `${name}#${at}`
  const pointed = followPointer(document, at)
  const place = at === '' ? 'the document' : at
  if (pointed.kind === 'nothing') {
    if (!present) return inSync
    const effectiveRoles = pointed.upTo === '' ? 'not even its first step' : `only ${pointed.upTo}`
    const summary = `${name}: there is nothing at ${place}, ${effectiveRoles} is there`
    return differs('drifted', summary, { path, kind: 'missing', expected: wish(assertion), actual: null })
  }
  const actual = show(assertion, pointed.value)
  if (!present) {
    const summary = `${name}: there is something at ${place}, where nothing may be`
    return differs('drifted', summary, { path, kind: 'unexpected', expected: null, actual })
  }
  if (holds(assertion, pointed.value)) return inSync
  const summary = `${name}: ${place} is ${actual}, and not ${wish(assertion)}`
  return differs('drifted', summary, { path, kind: 'changed', expected: wish(assertion), actual })
}

/** A longer text is matched as far as this. */
const longestMatched = 10_000

function holds({ type, equal, matches }: Assertion, value: unknown): boolean {
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

function wish({ type, equal, matches }: Assertion): string {
  const words = [
    type !== null && `of type ${type}`,
    equal !== null && `equal to ${equal}`,
    matches !== null && `matching ${matches}`,
  ].filter(word => word)
  return words.length > 0 ? words.join(', ') : 'anything'
}

const longestShown = 60

/**
 * What is there, as far as it may be shown: the type alone, and the value of a scalar only where the assertion is about
 * its value. The document is not ours to publish.
 */
function show({ equal, matches }: Assertion, value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  if (equal === null && matches === null) return `of type ${typeof value}`
  const text = printable(JSON.stringify(value))
  return text.length > longestShown ? `${text.slice(0, longestShown - 3)}...` : text
}
