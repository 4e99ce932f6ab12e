import { createBoundedCache } from '../../bounded-cache.ts'
import type { Clock } from '../../clock.ts'
import { type Deadline, withDeadline } from '../../concurrency/deadline.ts'
import { createFairQueue, type FairQueue } from '../../concurrency/fair-queue.ts'
import { retry } from '../../concurrency/retry.ts'
import { createSingleFlight } from '../../concurrency/single-flight.ts'
import { asDriftwatchError, DriftwatchError, type ErrorCode } from '../../errors.ts'
import { questionKey, type RegistryAnswer, type RegistryQuestion } from '../../release/registry-answers.ts'
import type { HttpResponse } from '../http/http-client.ts'
import { configDigest, describeProvenance, holdsNothing, uploadTime } from './image-provenance.ts'
import { isGoogleRegistry, type RepositoryAddress, repositoryAddress } from './registry-address.ts'
import { createRegistryHttp, type RegistryHttp, type RegistryRequest, refusalCode } from './registry-http.ts'
import { digestOfBytes, heldDigests, isDigest, isDigestOf, manifestTypes } from './registry-manifest.ts'
import { createRegistryTokens, type RegistryCredentials, type RegistryTokens } from './registry-tokens.ts'

export interface RegistryClient {
  /**
   * Answers one question. Never rejects because a registry failed: that is an answer of kind `failed` with a code.
   * What an index holds is kept for ever, and a presence or absence that is as expected for ten minutes; a tag is looked
   * up each time. Equal questions in flight are one.
   */
  ask(question: RegistryQuestion, deadline: Deadline): Promise<RegistryAnswer>
}

export interface RegistryClientOptions {
  /** `host:port` that stands for every registry host, over plain HTTP and without credentials; null for the real ones. */
  readonly emulatorHost: string | null
  /** For Google's registries alone. Null: they are asked anonymously. */
  readonly credentials: RegistryCredentials | null
  readonly clock: Clock
  readonly fetch?: typeof globalThis.fetch
  /** Hears of every HTTP request that was made. */
  readonly onRequest?: (request: RegistryRequest) => void
}

/** In digests: some ten megabytes at most. */
const maxKept = 100_000

/** A question that takes longer lets the next one to its registry be asked beside it. */
const slotMs = 1000

/** What is as it should be is not asked again so soon. */
const believedForMs = 10 * 60_000

export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  const { clock, emulatorHost, credentials, fetch = globalThis.fetch, onRequest = () => {} } = options
  const http = createRegistryHttp({ fetch, onRequest })
  const read = repositoryReader(http, createRegistryTokens({ http, credentials, clock }))
  const kept = createBoundedCache<RegistryAnswer>(maxKept, sizeOf)
  const believed = createBoundedCache<{ readonly answer: RegistryAnswer; readonly until: number }>(maxKept)
  const singleFlight = createSingleFlight<RegistryAnswer>()
  /** By registry: one that hangs keeps no other waiting. */
  const hosts = new Map<string, FairQueue>()

  async function attempt(question: RegistryQuestion, deadline: Deadline): Promise<RegistryAnswer> {
    checkQuestion(question)
    const address = repositoryAddress(question.repository, emulatorHost)
    if (question.about === 'tag') return askTag(read, address, question.tag, deadline)
    if (question.about === 'presence') return askPresence(read, address, question.digest, deadline)
    if (question.about === 'repository') return askRepository(read, address, deadline)
    const ask = question.about === 'origin' ? askOrigin : askDigest
    const answer = await ask(read, address, question.digest, deadline)
    // After the deadline, the answer may lack parts that were not read.
    deadline.signal.throwIfAborted()
    if (answer.kind === 'holds' || isTold(answer)) kept.set(questionKey(question), answer)
    return answer
  }

  /** What was said before, where that still counts. */
  function recall(question: RegistryQuestion, key: string): RegistryAnswer | undefined {
    const expected = expectedAnswer(question)
    if (expected === null) return kept.get(key)
    const before = believed.get(key)
    return before && before.answer.kind === expected && clock.monotonic() < before.until ? before.answer : undefined
  }

  async function askNow(question: RegistryQuestion, key: string, deadline: Deadline): Promise<RegistryAnswer> {
    const answer = await singleFlight.run(key, deadline, shared => askInTurn(question, key, shared))
    if (expectedAnswer(question) !== null) believed.set(key, { answer, until: clock.monotonic() + believedForMs })
    return answer
  }

  function askInTurn(question: RegistryQuestion, key: string, deadline: Deadline): Promise<RegistryAnswer> {
    const [host = ''] = question.repository.split('/')
    const fairQueue = hosts.get(host) ?? createFairQueue(clock)
    hosts.set(host, fairQueue)
    return fairQueue.run({ caller: key, deadline, slotMs }, () =>
      retry(clock, deadline, timeoutMs =>
        withDeadline(clock, timeoutMs, deadline.signal, attemptDeadline => attempt(question, attemptDeadline)),
      ),
    )
  }

  return {
    async ask(question, deadline) {
      const key = questionKey(question)
      try {
        return recall(question, key) ?? (await askNow(question, key, deadline))
      } catch (thrown) {
        return failed(thrown, key)
      }
    },
  }
}

/** What an answer must be to be believed for a while; null: it is kept for ever, or asked for each time. */
function expectedAnswer(question: RegistryQuestion): RegistryAnswer['kind'] | null {
  if (question.about === 'repository') return 'there'
  return question.about === 'presence' ? question.expected : null
}

/** Reads something of a repository by tag or digest, after a token exchange where the registry asks for one. */
type ReadRepository = (
  method: keyof typeof paths,
  address: RepositoryAddress,
  reference: string,
  deadline: Deadline,
) => Promise<HttpResponse>

const paths = { HeadManifest: 'manifests', GetManifest: 'manifests', GetBlob: 'blobs', ListTags: 'tags' } as const

function repositoryReader(http: RegistryHttp, tokens: RegistryTokens): ReadRepository {
  return async (method, address, reference, deadline) => {
    const accept = paths[method] === 'manifests' ? manifestTypes.join(', ') : '*/*'
    const url = new URL(`${address.origin}/v2/${address.path}/${paths[method]}/${reference}`)
    const send = (token: string | null) =>
      http({ method, url, deadline, headers: { accept, ...(token !== null && { authorization: `Bearer ${token}` }) } })
    const reply = await send(tokens.held(address))
    if (reply.status !== 401) return reply
    return send(await tokens.obtain(address, reply.headers.get('www-authenticate'), deadline))
  }
}

async function askTag(
  read: ReadRepository,
  address: RepositoryAddress,
  tag: string,
  deadline: Deadline,
): Promise<RegistryAnswer> {
  const head = await read('HeadManifest', address, tag, deadline)
  if (head.status === 404) return { kind: 'absent' }
  if (head.status !== 200 && head.status !== 405) throw refusal(head.status, address)
  const digest = head.status === 200 ? head.headers.get('docker-content-digest') : null
  if (digest !== null) return { kind: 'digest', digest: checkedDigest(digest, address) }

  // A registry that says no digest, or knows no HEAD: the digest is that of the bytes.
  const got = await read('GetManifest', address, tag, deadline)
  if (got.status === 404) return { kind: 'absent' }
  const bytes = manifestBytes(got, address)
  heldDigests(bytes)
  return { kind: 'digest', digest: digestOfBytes(bytes, 'sha256') }
}

async function askPresence(
  read: ReadRepository,
  address: RepositoryAddress,
  digest: string,
  deadline: Deadline,
): Promise<RegistryAnswer> {
  const head = await read('HeadManifest', address, digest, deadline)
  const reply = head.status === 405 ? await read('GetManifest', address, digest, deadline) : head
  if (reply.status === 404) return { kind: 'absent' }
  if (reply.status !== 200) throw refusal(reply.status, address)
  const said = reply.headers.get('docker-content-digest') ?? digest
  if (said === digest) return { kind: 'digest', digest }
  throw new DriftwatchError('MALFORMED_RESPONSE', `${address.host} answered for another digest than it was asked for`)
}

/** Its tags are listed: only that tells a repository that does not exist from a digest that it does not hold. */
async function askRepository(
  read: ReadRepository,
  address: RepositoryAddress,
  deadline: Deadline,
): Promise<RegistryAnswer> {
  const reply = await read('ListTags', address, 'list?n=1', deadline)
  if (reply.status === 404) return { kind: 'absent' }
  if (reply.status !== 200) throw refusal(reply.status, address)
  return { kind: reply.body !== null && holdsNothing(reply.body) ? 'absent' : 'there' }
}

/** What cannot be fetched is not told: a part that fails spoils no other. */
async function askOrigin(
  read: ReadRepository,
  address: RepositoryAddress,
  digest: string,
  deadline: Deadline,
): Promise<RegistryAnswer> {
  const body = async (method: 'GetManifest' | 'GetBlob' | 'ListTags', reference: string) => {
    const reply = await read(method, address, reference, deadline).catch(() => null)
    return reply?.status === 200 ? reply.body : null
  }
  const verified = async (method: 'GetManifest' | 'GetBlob', wanted: string) => {
    const bytes = await body(method, wanted)
    return bytes && isDigestOf(wanted, bytes) ? bytes : null
  }
  const [manifest, tags] = await Promise.all([
    verified('GetManifest', digest),
    isGoogleRegistry(address.host) ? body('ListTags', 'list') : null,
  ])
  const config = manifest && configDigest(manifest)
  return {
    kind: 'origin',
    origin: describeProvenance(
      manifest,
      config === null ? null : await verified('GetBlob', config),
      tags && uploadTime(tags, digest),
    ),
  }
}

function isTold(answer: RegistryAnswer): boolean {
  return answer.kind === 'origin' && Object.values(answer.origin).some(each => each !== null)
}

async function askDigest(
  read: ReadRepository,
  address: RepositoryAddress,
  digest: string,
  deadline: Deadline,
): Promise<RegistryAnswer> {
  const got = await read('GetManifest', address, digest, deadline)
  if (got.status === 404) return { kind: 'absent' }
  const bytes = manifestBytes(got, address)
  if (isDigestOf(digest, bytes)) return { kind: 'holds', digests: heldDigests(bytes) }
  throw new DriftwatchError('MALFORMED_RESPONSE', `${address.host} answered with bytes that have another digest`)
}

function sizeOf(answer: RegistryAnswer): number {
  return answer.kind === 'holds' ? 1 + answer.digests.length : 1
}

function checkQuestion(question: RegistryQuestion): void {
  if (question.about === 'repository') return
  const sound = question.about === 'tag' ? /^\w[\w.-]{0,127}$/.test(question.tag) : isDigest(question.digest)
  if (sound) return
  throw new DriftwatchError('INVALID_ARGUMENT', `that is no ${question.about}: no registry was asked`)
}

function checkedDigest(digest: string, address: RepositoryAddress): string {
  if (isDigest(digest)) return digest
  throw new DriftwatchError('MALFORMED_RESPONSE', `${address.host} answered with something that is no digest`)
}

function manifestBytes(reply: HttpResponse, address: RepositoryAddress): Buffer {
  if (reply.status !== 200) throw refusal(reply.status, address)
  if (reply.body !== null) return reply.body
  throw new DriftwatchError('MALFORMED_RESPONSE', `${address.host} answered with more than 4 MiB: that is no manifest`)
}

function refusal(status: number, { host }: RepositoryAddress): DriftwatchError {
  const code = refusalCode(status) ?? 'MALFORMED_RESPONSE'
  const remedy = isGoogleRegistry(host) ? googleRemedies[code] : undefined
  return new DriftwatchError(code, `${host} answered HTTP ${status}${remedy ? `: ${remedy}` : ''}`)
}

const googleRemedies: Partial<Record<ErrorCode, string>> = {
  UNAUTHENTICATED: 'check the credentials that Driftwatch runs with',
  PERMISSION_DENIED: 'grant roles/artifactregistry.reader to the account that Driftwatch runs as',
}

function failed(thrown: unknown, asked: string): RegistryAnswer {
  const { code, message } = asDriftwatchError(thrown)
  return { kind: 'failed', code, message: `${asked}: ${message}` }
}
