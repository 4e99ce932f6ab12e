import { createBoundedCache } from '../../bounded-cache.ts'
import type { Clock } from '../../clock.ts'
import { type Deadline, withDeadline } from '../../concurrency/deadline.ts'
import { createFairQueue, type FairQueue } from '../../concurrency/fair-queue.ts'
import { retry } from '../../concurrency/retry.ts'
import { createSingleFlight } from '../../concurrency/single-flight.ts'
import { asDriftwatchError, DriftwatchError, type ErrorCode } from '../../errors.ts'
import {
  questionKey,
  type ReferenceQuestion,
  type RegistryAnswer,
  type RegistryQuestion,
} from '../../release/registry-answers.ts'
import { type ConnectionAge, createConnectionAge } from '../http/connection-age.ts'
import { fetchExchange, type HttpResponse } from '../http/http-client.ts'
import { createPooledExchange } from '../http/pooled-exchange.ts'
import { configDigest, describeProvenance, isEmptyRepository, uploadTime } from './image-provenance.ts'
import { isGoogleRegistry, type RepositoryAddress, repositoryAddress } from './registry-address.ts'
import { createRegistryHttp, type RegistryHttp, type RegistryRequest, refusalCode } from './registry-http.ts'
import {
  digestOfBytes,
  type HeldDigests,
  hasErrorCode,
  heldDigests,
  isDigest,
  isDigestOf,
  manifestTypes,
} from './registry-manifest.ts'
import { createRegistryTokens, type RegistryCredentials, type RegistryTokens } from './registry-tokens.ts'
import { isPullThrough } from './repository-mode.ts'

export interface RegistryClient {
  /**
   * Never rejects: a failure is an answer of kind `failed` with an error code. Concurrent equal questions share one
   * request. The content of an index is cached without expiry, because its digest identifies it. An expected presence or
   * absence, and the origin of a digest, are cached for ten minutes, because an image can be deleted and uploaded again. A
   * tag is not cached.
   */
  ask(question: RegistryQuestion, deadline: Deadline): Promise<RegistryAnswer>
  /** Drops all cached answers that a digest does not identify. */
  forget(): void
}

export interface RegistryClientOptions {
  /** `host:port` of an emulator that replaces every registry, without TLS and credentials; null for real registries. */
  readonly emulatorHost: string | null
  /** Sent to Google's registries only. Null for anonymous access. */
  readonly credentials: RegistryCredentials | null
  readonly clock: Clock
  /** Limits the age of connections. Default: 10 minutes. */
  readonly connectionAge?: ConnectionAge | undefined
  /** Default: pooled connections. */
  readonly fetch?: typeof globalThis.fetch
  /** Called for every HTTP request sent. */
  readonly onRequest?: (request: RegistryRequest) => void
}

/** In digests: about ten megabytes at most. */
const maxCached = 100_000

/** After this time, a slow request no longer delays the next one to its registry. */
const slotMs = 1000

const expectedForMs = 10 * 60_000

/** More than any image has. */
const maxNestedIndexes = 8

export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  const { clock, emulatorHost, credentials, fetch, onRequest = () => {} } = options
  const { connectionAge = createConnectionAge(clock) } = options
  const exchange = fetch ? fetchExchange(fetch) : createPooledExchange(connectionAge)
  const http = createRegistryHttp(exchange, onRequest)
  const tokens = createRegistryTokens(http, credentials, clock)
  const immutable = createBoundedCache<RegistryAnswer>(maxCached, sizeOf)
  const expiring = createBoundedCache<{ readonly answer: RegistryAnswer; readonly until: number }>(maxCached)
  const flights = createSingleFlight<RegistryAnswer>()
  /** One queue for each host, so that a registry that hangs does not delay others. */
  const queues = new Map<string, FairQueue>()

  function cachedAnswer(question: RegistryQuestion, key: string): RegistryAnswer | undefined {
    const expected = expectedAnswer(question)
    if (expected === null) return immutable.get(key)
    const cached = expiring.get(key)
    return cached && cached.answer.kind === expected && clock.monotonic() < cached.until ? cached.answer : undefined
  }

  async function fetchAnswer(question: RegistryQuestion, key: string, deadline: Deadline): Promise<RegistryAnswer> {
    const answer = await flights.run(key, deadline, shared => queueRequest(question, key, shared))
    if (expectedAnswer(question) !== null && isComplete(answer))
      expiring.set(key, { answer, until: clock.monotonic() + expectedForMs })
    if (answer.kind === 'holds') immutable.set(key, answer)
    return answer
  }

  function queueRequest(question: RegistryQuestion, key: string, deadline: Deadline): Promise<RegistryAnswer> {
    const [host = ''] = question.repository.split('/')
    const queue = queues.get(host) ?? createFairQueue(clock)
    queues.set(host, queue)
    return queue.run({ caller: key, deadline, slotMs }, () =>
      retry(clock, deadline, timeoutMs =>
        withDeadline(clock, timeoutMs, deadline.signal, own => attempt(question, own)),
      ),
    )
  }

  async function attempt(question: RegistryQuestion, deadline: Deadline): Promise<RegistryAnswer> {
    checkQuestion(question)
    const address = repositoryAddress(question.repository, emulatorHost)
    const repository = openRepository(address, http, tokens, deadline)
    const answer =
      question.about === 'absence'
        ? await proveAbsence(repository, question.of, () => isPullThrough(address, http, credentials, deadline))
        : await readAnswer(repository, question)
    // After the deadline, the answer may lack parts that were not read.
    deadline.signal.throwIfAborted()
    return answer
  }

  return {
    async ask(question, deadline) {
      const key = questionKey(question)
      try {
        return cachedAnswer(question, key) ?? (await fetchAnswer(question, key, deadline))
      } catch (thrown) {
        const { code, message } = asDriftwatchError(thrown)
        return { kind: 'failed', code, message: `${key}: ${message}` }
      }
    },
    forget: () => expiring.clear(),
  }
}

/** The kind of answer that is cached for a while; null if answers do not expire, or are not cached. */
function expectedAnswer(question: RegistryQuestion): RegistryAnswer['kind'] | null {
  if (question.about === 'repository') return 'there'
  if (question.about === 'origin') return 'origin'
  return question.about === 'presence' ? question.expected : null
}

/** An origin of which nothing could be read is not cached. */
function isComplete(answer: RegistryAnswer): boolean {
  return answer.kind !== 'origin' || Object.values(answer.origin).some(each => each !== null)
}

function sizeOf(answer: RegistryAnswer): number {
  return answer.kind === 'holds' ? 1 + answer.digests.length + answer.amd64.length : 1
}

function checkQuestion(asked: RegistryQuestion): void {
  const question = asked.about === 'absence' ? asked.of : asked
  if (question.about === 'repository') return
  if (question.about === 'tag' && !/^\w[\w.-]{0,127}$/.test(question.tag)) {
    throw new DriftwatchError('INVALID_ARGUMENT', 'invalid tag: expected 1 to 128 letters, digits, ".", "_" or "-"')
  }
  if (question.about !== 'tag' && !isDigest(question.digest)) {
    throw new DriftwatchError('INVALID_ARGUMENT', 'invalid digest: expected sha256: or sha512: and hexadecimal digits')
  }
}

/** A repository as one attempt reads it. */
interface Repository {
  readonly host: string
  /** Reads by tag or digest, after a token exchange if the registry demands one. */
  read(method: keyof typeof paths, reference: string): Promise<HttpResponse>
}

const paths = { HeadManifest: 'manifests', GetManifest: 'manifests', GetBlob: 'blobs', ListTags: 'tags' } as const

function openRepository(
  address: RepositoryAddress,
  http: RegistryHttp,
  tokens: RegistryTokens,
  deadline: Deadline,
): Repository {
  return {
    host: address.host,
    async read(method, reference) {
      const accept = paths[method] === 'manifests' ? manifestTypes.join(', ') : '*/*'
      const url = new URL(`${address.origin}/v2/${address.path}/${paths[method]}/${reference}`)
      const send = (token: string | null) =>
        http({
          method,
          url,
          deadline,
          headers: { accept, ...(token !== null && { authorization: `Bearer ${token}` }) },
        })
      const response = await send(tokens.cached(address))
      if (response.status !== 401) return response
      return send(await tokens.obtain(address, response.headers.get('www-authenticate'), deadline))
    },
  }
}

function readAnswer(
  repository: Repository,
  question: Exclude<RegistryQuestion, { about: 'absence' }>,
): Promise<RegistryAnswer> {
  if (question.about === 'tag') return resolveTag(repository, question.tag)
  if (question.about === 'digest') return readIndex(repository, question.digest)
  if (question.about === 'presence') return checkPresence(repository, question.digest)
  return question.about === 'origin' ? readOrigin(repository, question.digest) : checkRepository(repository)
}

async function resolveTag(repository: Repository, tag: string): Promise<RegistryAnswer> {
  const head = await repository.read('HeadManifest', tag)
  if (head.status === 404) return { kind: 'absent' }
  if (head.status !== 200 && head.status !== 405) throw refusal(head.status, repository)
  const digest = head.status === 200 ? head.headers.get('docker-content-digest') : null
  if (digest !== null) {
    if (isDigest(digest)) return { kind: 'digest', digest }
    throw malformed(repository, 'an invalid digest')
  }
  // Some registries send no digest, or do not support HEAD.
  const got = await repository.read('GetManifest', tag)
  if (got.status === 404) return { kind: 'absent' }
  const bytes = manifestBytes(got, repository)
  heldDigests(bytes)
  return { kind: 'digest', digest: digestOfBytes(bytes, 'sha256') }
}

async function readIndex(repository: Repository, digest: string): Promise<RegistryAnswer> {
  const held = await readHeld(repository, digest)
  if (!held) return { kind: 'absent' }
  return { kind: 'holds', digests: held.digests, amd64: await imagesForAmd64(repository, held) }
}

/** Null if the registry does not have the digest. */
async function readHeld(repository: Repository, digest: string): Promise<HeldDigests | null> {
  const got = await repository.read('GetManifest', digest)
  if (got.status === 404) return null
  const bytes = manifestBytes(got, repository)
  if (isDigestOf(digest, bytes)) return heldDigests(bytes)
  throw malformed(repository, 'a manifest that does not match its digest')
}

/** Of an index and the indexes in it. */
async function imagesForAmd64(repository: Repository, { amd64, indexes }: HeldDigests): Promise<readonly string[]> {
  const digests = [...amd64]
  const open = [...indexes]
  // The iteration includes the indexes that are added during it.
  for (const index of open) {
    if (open.length > maxNestedIndexes) throw malformed(repository, `more than ${maxNestedIndexes} nested indexes`)
    const held = await readHeld(repository, index)
    if (!held) throw malformed(repository, 'an index that contains an index which it does not have')
    digests.push(...held.amd64)
    open.push(...held.indexes)
  }
  return [...new Set(digests)]
}

/**
 * A 404 may also mean that the repository may not be read, or that the image is only fetched when it is pulled. Proof is
 * the error code `MANIFEST_UNKNOWN` in a repository that can be listed and does not fetch images.
 */
async function proveAbsence(
  repository: Repository,
  of: ReferenceQuestion,
  pullsThrough: () => Promise<boolean>,
): Promise<RegistryAnswer> {
  const got = await repository.read('GetManifest', of.about === 'tag' ? of.tag : of.digest)
  if (got.status === 200) return { kind: 'there' }
  if (got.status !== 404) throw refusal(got.status, repository)
  const doubt = async () => {
    if (!hasErrorCode(got.body, 'MANIFEST_UNKNOWN')) return 'without the code MANIFEST_UNKNOWN'
    if ((await checkRepository(repository)).kind !== 'there') return 'for an unknown or empty repository'
    return (await pullsThrough()) ? 'for a repository that fetches images from another registry' : null
  }
  const why = await doubt()
  if (why === null) return { kind: 'absent' }
  throw new DriftwatchError('NOT_FOUND', `${repository.host} returned HTTP 404 ${why}, which proves nothing`)
}

async function checkPresence(repository: Repository, digest: string): Promise<RegistryAnswer> {
  const head = await repository.read('HeadManifest', digest)
  const response = head.status === 405 ? await repository.read('GetManifest', digest) : head
  if (response.status === 404) return { kind: 'absent' }
  if (response.status !== 200) throw refusal(response.status, repository)
  if ((response.headers.get('docker-content-digest') ?? digest) === digest) return { kind: 'digest', digest }
  throw malformed(repository, 'a different digest than requested')
}

/** Lists tags, because only that distinguishes a missing repository from a missing digest. */
async function checkRepository(repository: Repository): Promise<RegistryAnswer> {
  const response = await repository.read('ListTags', 'list?n=1')
  if (response.status === 404) return { kind: 'absent' }
  if (response.status !== 200) throw refusal(response.status, repository)
  return { kind: response.body !== null && isEmptyRepository(response.body) ? 'absent' : 'there' }
}

/** A part that cannot be read is null. */
async function readOrigin(repository: Repository, digest: string): Promise<RegistryAnswer> {
  const body = async (method: 'GetManifest' | 'GetBlob' | 'ListTags', reference: string) => {
    const response = await repository.read(method, reference).catch(() => null)
    return response?.status === 200 ? response.body : null
  }
  const verified = async (method: 'GetManifest' | 'GetBlob', wanted: string) => {
    const bytes = await body(method, wanted)
    return bytes && isDigestOf(wanted, bytes) ? bytes : null
  }
  const [manifest, tags] = await Promise.all([
    verified('GetManifest', digest),
    isGoogleRegistry(repository.host) ? body('ListTags', 'list') : null,
  ])
  const config = manifest && configDigest(manifest)
  const blob = config === null ? null : await verified('GetBlob', config)
  return { kind: 'origin', origin: describeProvenance(manifest, blob, tags && uploadTime(tags, digest)) }
}

function manifestBytes(response: HttpResponse, repository: Repository): Buffer {
  if (response.status !== 200) throw refusal(response.status, repository)
  if (response.body !== null) return response.body
  throw malformed(repository, 'a manifest larger than 4 MiB')
}

function malformed({ host }: Repository, what: string): DriftwatchError {
  return new DriftwatchError('MALFORMED_RESPONSE', `${host} returned ${what}`)
}

function refusal(status: number, { host }: Repository): DriftwatchError {
  const code = refusalCode(status) ?? 'MALFORMED_RESPONSE'
  const remedy = isGoogleRegistry(host) ? googleRemedies[code] : undefined
  return new DriftwatchError(code, `${host} returned HTTP ${status}${remedy ? `. ${remedy}` : ''}`)
}

const googleRemedies: Readonly<Partial<Record<ErrorCode, string>>> = {
  UNAUTHENTICATED: "Check Driftwatch's credentials.",
  PERMISSION_DENIED: "Grant roles/artifactregistry.reader to Driftwatch's service account.",
}
