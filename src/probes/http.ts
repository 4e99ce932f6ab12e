import type { IdTokenSource } from '../clients/google/id-token-source.ts'
import type { ContractClient } from '../clients/http/contract-client.ts'
import type { Clock } from '../clock.ts'
import { type Deadline, withDeadline } from '../concurrency/deadline.ts'
import { type EventLoopMonitor, eventLoopStalled } from '../concurrency/event-loop-monitor.ts'
import type { FairQueue } from '../concurrency/fair-queue.ts'
import { createConcealer } from '../config/secret.ts'
import type { HttpContractConfig, HttpRequestConfig } from '../config/sections/http-contract.ts'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import { type HttpAnswer, type HttpAnswers, parseDocument } from '../release/http-answer.ts'
import type { Probe } from './probe.ts'

export interface HttpProbeParts {
  readonly client: ContractClient
  readonly tokens: IdTokenSource | null
  readonly clock: Clock
  readonly eventLoop: Pick<EventLoopMonitor, 'stalledMs'>
  /** Limits all requests together. Shorter than the probe, so that a missing response is an answer, not a failed probe. */
  readonly answerWithinMs: number
  readonly queue?: FairQueue
}

/** Makes the requests of the contract. A request that fails does not affect the others. */
export function createHttpProbe(parts: HttpProbeParts): Probe<'http'> {
  const { client, tokens, clock, eventLoop, answerWithinMs, queue } = parts
  return {
    kind: 'http',
    ...(queue && { queue }),
    async observe({ httpContract }, { signal }): Promise<HttpAnswers> {
      if (!httpContract) return new Map()
      return withDeadline(clock, answerWithinMs, signal, async deadline => {
        const token = await tokenOf(httpContract, tokens, deadline)
        const ask = async (request: HttpRequestConfig) => {
          const stalled = eventLoop.stalledMs()
          const answer = await askOnce(client, httpContract, request, token, deadline)
          return unlessStalled(answer, request, eventLoop.stalledMs() - stalled)
        }
        const answers = httpContract.requests.map(
          async request => [request.name, await askWithRetry(request, ask)] as const,
        )
        return new Map(await Promise.all(answers))
      })
    },
  }
}

async function tokenOf(
  { bearerToken, identityTokenAudience }: HttpContractConfig,
  tokens: IdTokenSource | null,
  { over }: Deadline,
): Promise<string | null> {
  if (bearerToken) return bearerToken.reveal()
  if (!identityTokenAudience) return null
  // Google's library has no time limit of its own.
  if (tokens) return Promise.race([tokens.token(identityTokenAudience), noTokenAfter(over, identityTokenAudience)])
  throw new DriftwatchError('EMULATOR_ABSENT', 'identity tokens are not available while CLOUD_RUN_EMULATOR_HOST is set')
}

function noTokenAfter(over: Promise<never>, audience: string): Promise<never> {
  return over.catch(thrown => {
    const { code, message } = asDriftwatchError(thrown)
    throw new DriftwatchError(code, `no identity token for ${audience}: ${message}`)
  })
}

/** Repeats a request after a transient failure or a slow start, and returns the better answer. */
async function askWithRetry(
  request: HttpRequestConfig,
  ask: (request: HttpRequestConfig) => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  const first = await ask(request)
  if (isSettled(first, request)) return first
  const second = await ask(request)
  // The repetition failed because the event loop stalled, so it proves nothing.
  if (second.kind === 'failed' && second.code === 'LOOP_BLOCKED' && isLate(first, request)) return second
  if (second.kind !== 'answered') return first.kind === 'failed' ? second : first
  const slower = first.kind === 'answered' && first.status === second.status && first.latencyMs < second.latencyMs
  return slower ? first : second
}

/** An answer proves nothing if it is late only because the event loop stalled. */
function unlessStalled(answer: HttpAnswer, request: HttpRequestConfig, lostMs: number): HttpAnswer {
  if (lostMs === 0 || !isLate(answer, request) || waitedMs(answer) - lostMs > request.maxLatencyMs) return answer
  const { code, message } = eventLoopStalled(lostMs, request.maxLatencyMs)
  return { kind: 'failed', code, message }
}

function isLate(answer: HttpAnswer, { status, maxLatencyMs }: HttpRequestConfig): boolean {
  return (
    answer.kind === 'silent' ||
    (answer.kind === 'answered' && answer.status === status && answer.latencyMs > maxLatencyMs)
  )
}

function waitedMs(answer: HttpAnswer): number {
  if (answer.kind === 'failed') return 0
  return answer.kind === 'answered' ? answer.latencyMs : answer.waitedMs
}

function isSettled(answer: HttpAnswer, { status, maxLatencyMs }: HttpRequestConfig): boolean {
  if (answer.kind === 'failed') return answer.code !== 'UNAVAILABLE' && answer.code !== 'LOOP_BLOCKED'
  if (answer.kind === 'silent') return false
  if (answer.status !== status && (answer.status === 429 || answer.status >= 500)) return false
  return answer.latencyMs <= maxLatencyMs
}

const maxLocationLength = 200

/** Shorter values are no secrets, and would mask parts of other words. */
const shortestSecret = 8

/** The values of a query, and parameters without a value, as they are sent and as a service decodes them. */
function queryValues(path: string): string[] {
  const [, query = ''] = /\?(.*)$/s.exec(path) ?? []
  const raw = query.split('&').map(parameter => parameter.slice(parameter.indexOf('=') + 1))
  const decoded = [...new URLSearchParams(query)].map(([name, value]) => value || name)
  const spaced = raw.map(value => new URLSearchParams(`v=${value.replaceAll('+', '%2B')}`).get('v') ?? '')
  return [...new Set([...raw, ...decoded, ...spaced])].filter(value => value.length >= shortestSecret)
}

async function askOnce(
  client: ContractClient,
  { url }: HttpContractConfig,
  { path, maxLatencyMs }: HttpRequestConfig,
  token: string | null,
  deadline: Deadline,
): Promise<HttpAnswer> {
  // The service may echo the token, and the values of the query.
  const concealers = [token ?? '', ...queryValues(path)].map(createConcealer)
  const conceal = (text: string) => concealers.reduce((rest, each) => each(rest), text)
  const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` }
  try {
    const reply = await client.get(new URL(url + path), headers, { deadline, beginWithinMs: maxLatencyMs })
    if ('timedOutAfterMs' in reply) return { kind: 'silent', waitedMs: reply.timedOutAfterMs }
    const { body, contentType, location, ...answer } = reply
    const document =
      body === null
        ? ({ kind: 'other', what: 'a body of more than 4 MiB' } as const)
        : parseDocument(body.toString('utf8'), contentType, conceal)
    const target = location && conceal(location).slice(0, maxLocationLength)
    return { kind: 'answered', ...answer, location: target, document }
  } catch (thrown) {
    const { code, message } = asDriftwatchError(thrown)
    return { kind: 'failed', code, message }
  }
}
