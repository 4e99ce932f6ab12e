import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import {
  digestOf,
  expandDigests,
  type Image,
  indexImage,
  indexOf,
  sha256,
  singleImage,
} from '../../../sandbox/images.ts'
import { type Registry, startRegistry } from '../../../sandbox/registry.ts'
import { createGoogleCredentials } from '../../../src/clients/google/google-credentials.ts'
import { createConnectionAge } from '../../../src/clients/http/connection-age.ts'
import {
  createRegistryClient,
  type RegistryClient,
  type RegistryClientOptions,
} from '../../../src/clients/registry/registry-client.ts'
import { type Clock, systemClock } from '../../../src/clock.ts'
import { type Deadline, rejectOnAbort } from '../../../src/concurrency/deadline.ts'
import { DriftwatchError } from '../../../src/errors.ts'
import { absenceOf, type RegistryAnswer } from '../../../src/release/registry-answers.ts'
import { createAdvancedClock } from '../../helpers/clock.ts'
import { deleteManifest, noDockerRegistry, pushImage, startDockerRegistry } from '../../helpers/docker-registry.ts'
import { startSwitchboard } from '../../helpers/switchboard.ts'
import { until } from '../../helpers/until.ts'

const host = 'us-central1-docker.pkg.dev'
const path = 'openagentsgemini/openagents-runtime/runtime-rust'
const repository = `${host}/${path}`
const accessToken = 'ya29.very-secret-access-token'
const imageA = singleImage('image-a')
const imageB = singleImage('image-b')
const index = indexImage([imageA, imageB])

/** A deadline that is reached when the signal aborts. */
const deadlineOf = (signal: AbortSignal): Deadline => ({
  at: Number.POSITIVE_INFINITY,
  signal,
  over: rejectOnAbort(signal),
})
const never = deadlineOf(new AbortController().signal)
const timedOut = new DriftwatchError('DEADLINE_EXCEEDED', 'timed out')

/** A clock that records sleeps without waiting, and whose monotonic time is set by hand. */
function buildClock() {
  const slept: number[] = []
  let elapsed = 0
  const clock: Clock = {
    ...systemClock,
    monotonic: () => elapsed,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      slept.push(ms)
    },
  }
  const advance = (ms: number) => {
    elapsed += ms
  }
  return { clock, slept, advance }
}

function buildClient(emulatorHost: string | null, options: Partial<RegistryClientOptions> = {}): RegistryClient {
  return createRegistryClient({ emulatorHost, credentials: null, clock: buildClock().clock, ...options })
}

function askTag(client: RegistryClient, tag: string, deadline = never): Promise<RegistryAnswer> {
  return client.ask({ about: 'tag', repository, tag }, deadline)
}

function askDigest(client: RegistryClient, digest: string, deadline = never): Promise<RegistryAnswer> {
  return client.ask({ about: 'digest', repository, digest }, deadline)
}

function askAbsence(client: RegistryClient, reference: string, name = repository): Promise<RegistryAnswer> {
  const of = reference.startsWith('sha256:')
    ? ({ about: 'digest', repository: name, digest: reference } as const)
    : ({ about: 'tag', repository: name, tag: reference } as const)
  return client.ask(absenceOf(of), never)
}

/** An emulator with `image-a` as `7f2e` and an index of it as `latest`. */
async function buildRegistry(test: Test): Promise<Registry> {
  const registry = await startRegistry()
  test.teardown(() => registry.close())
  registry.put(repository, '7f2e', imageA)
  registry.put(repository, 'latest', index)
  return registry
}

/** Redirects requests for real hosts to the emulator, and records them. */
function buildInternet(registry: Registry) {
  const sent: { url: URL; authorization: string | null }[] = []
  const fetchThere: typeof fetch = (input, init) => {
    const url = new URL(String(input))
    sent.push({ url, authorization: new Headers(init?.headers).get('authorization') })
    return fetch(`http://${registry.host}${url.pathname}${url.search}`, init)
  }
  return { sent, fetch: fetchThere }
}

async function buildServer(test: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  test.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

function codeOf(answer: RegistryAnswer): string {
  return answer.kind === 'failed' ? answer.code : answer.kind
}

t.test('symbolic image names have the digests of real bytes', async t => {
  t.equal(digestOf('image-a'), imageA.digest, 'a name means a single image')
  t.equal(digestOf('image-a'), sha256(singleImage('image-a').bytes), 'the digest of real bytes')
  t.not(digestOf('image-a'), digestOf('image-b'))
  t.equal(indexOf(['image-a', 'image-b']), index.digest)
  t.equal(
    expandDigests('{"a":"r/x@digest(image-a)","b":"r/x@index(image-a, image-b)","c":"r/x:1@sha256:00"}'),
    `{"a":"r/x@${imageA.digest}","b":"r/x@${index.digest}","c":"r/x:1@sha256:00"}`,
  )
  for (const mistake of ['@digest()', '@digest(image a)', '@digest(image-a', '@index(a,)', '@digest(index(a,b))']) {
    t.throws(() => expandDigests(`r/x${mistake}`), mistake)
  }
})

const realRegistries = [
  { name: "Debian's docker-registry", skip: noDockerRegistry, start: startDockerRegistry },
  { name: 'the emulator', skip: false, start: startRegistry },
] as const

for (const { name, skip, start } of realRegistries) {
  t.test(`${name} with pushed images`, { skip }, async t => {
    const { host, close } = await start()
    t.teardown(close)
    const client = buildClient(host)

    for (const format of ['oci', 'docker'] as const) {
      t.test(`a tag resolves to the digest of its index, which lists its images (${format})`, async t => {
        const images = [singleImage('amd64', format), singleImage('arm64', format)]
        const pushed = indexImage(images, format)
        await pushImage(host, path, `index-${format}`, pushed)
        t.same(await askTag(client, `index-${format}`), { kind: 'digest', digest: pushed.digest })
        const digests = images.map(image => image.digest)
        t.same(await askDigest(client, pushed.digest), { kind: 'holds', digests, amd64: digests.slice(0, 1) })
      })

      t.test(`a tag resolves to the digest of its single image, which lists none (${format})`, async t => {
        const pushed = singleImage('alone', format)
        await pushImage(host, path, `alone-${format}`, pushed)
        t.same(await askTag(client, `alone-${format}`), { kind: 'digest', digest: pushed.digest })
        t.same(await askDigest(client, pushed.digest), { kind: 'holds', digests: [], amd64: [] })
      })
    }

    t.test('a nested index is listed, and its image for linux/amd64 belongs to the outer index', async t => {
      const outer = indexImage([index, imageB])
      await pushImage(host, path, 'nested', outer)
      t.same(await askDigest(client, outer.digest), {
        kind: 'holds',
        digests: [index.digest, imageB.digest],
        amd64: [imageA.digest],
      })
    })

    t.test('a moved tag resolves to its new digest at once', async t => {
      await pushImage(host, path, 'moving', imageA)
      t.same(await askTag(client, 'moving'), { kind: 'digest', digest: imageA.digest })
      await pushImage(host, path, 'moving', imageB)
      t.same(await askTag(client, 'moving'), { kind: 'digest', digest: imageB.digest })
    })

    t.test('a deleted tag is absent, and so is its digest unless it is cached', async t => {
      const doomed = singleImage('doomed')
      await pushImage(host, path, 'doomed', doomed)
      t.same(await askTag(client, 'doomed'), { kind: 'digest', digest: doomed.digest })
      t.same(await askDigest(client, doomed.digest), { kind: 'holds', digests: [], amd64: [] })
      await deleteManifest(host, path, doomed.digest)
      t.same(await askTag(client, 'doomed'), { kind: 'absent' })
      t.same(await askDigest(buildClient(host), doomed.digest), { kind: 'absent' })
      t.same(
        await askDigest(client, doomed.digest),
        { kind: 'holds', digests: [], amd64: [] },
        'the content of a digest never changes',
      )
    })

    t.test('a tag, digest or repository that does not exist is absent', async t => {
      t.same(await askTag(client, 'never-was'), { kind: 'absent' })
      t.same(await askDigest(client, digestOf('never-was')), { kind: 'absent' })
      t.same(await client.ask({ about: 'tag', repository: `${host}/never/was`, tag: 'x' }, never), { kind: 'absent' })
    })

    t.test('the absence of a tag or digest is proven, but not that in an unknown repository', async t => {
      t.same(await askAbsence(client, 'never-was'), { kind: 'absent' })
      t.same(await askAbsence(client, digestOf('never-was')), { kind: 'absent' })
      t.same(await askAbsence(client, 'alone-oci'), { kind: 'there' })
      t.match(await askAbsence(client, 'x', `${host}/never/was`), { kind: 'failed', code: 'NOT_FOUND' })
    })
  })
}

t.test('a failing registry is reported with an error code', async t => {
  const registry = await buildRegistry(t)
  for (const [kind, tagCode, digestCode] of [
    ['denied', 'PERMISSION_DENIED', 'PERMISSION_DENIED'],
    ['unauthenticated', 'UNAUTHENTICATED', 'UNAUTHENTICATED'],
    ['quota', 'RESOURCE_EXHAUSTED', 'RESOURCE_EXHAUSTED'],
    ['unavailable', 'UNAVAILABLE', 'UNAVAILABLE'],
    ['down', 'UNAVAILABLE', 'UNAVAILABLE'],
    ['cut', 'UNAVAILABLE', 'UNAVAILABLE'],
    ['lying', 'digest', 'MALFORMED_RESPONSE'],
    ['nonsense', 'MALFORMED_RESPONSE', 'MALFORMED_RESPONSE'],
    ['slow', 'digest', 'holds'],
  ] as const) {
    t.test(kind, async t => {
      registry.setFault({ kind, latencyMs: 1 })
      const client = buildClient(registry.host)
      t.equal(codeOf(await askTag(client, '7f2e')), tagCode)
      t.equal(codeOf(await askDigest(client, index.digest)), digestCode)
    })
  }

  t.test('a closed port is UNAVAILABLE', async t => {
    const gone = await startRegistry()
    await gone.close()
    const answer = await askTag(buildClient(gone.host), '7f2e')
    t.match(answer, {
      code: 'UNAVAILABLE',
      message: /runtime-rust:7f2e: request to 127\.0\.0\.1:\d+ failed \(ECONNREFUSED\)/,
    })
  })

  t.test('a server that does not speak HTTP is MALFORMED_RESPONSE', async t => {
    const odd = await buildServer(t, request => request.socket.end('SSH-2.0-OpenSSH\r\n'))
    t.equal(codeOf(await askTag(buildClient(odd), '7f2e')), 'MALFORMED_RESPONSE')
  })

  t.test('an invalid question is rejected without a request', async t => {
    registry.setFault(null)
    registry.requests.clear()
    const client = buildClient(registry.host)
    for (const tag of ['', '../../token', 'a/b', 'a?b', '-x', 'x'.repeat(129)]) {
      t.equal(codeOf(await askTag(client, tag)), 'INVALID_ARGUMENT', `tag ${tag}`)
    }
    for (const digest of ['', 'sha256:abc', 'md5:00', `${imageA.digest}0`]) {
      t.equal(codeOf(await askDigest(client, digest)), 'INVALID_ARGUMENT', `digest ${digest}`)
    }
    for (const name of ['', `${host}/`, `${host}//x`, `${host}/../x`, `user@${host}/x`, `${host}/x?y`, `${host}:/x`]) {
      t.equal(codeOf(await client.ask({ about: 'tag', repository: name, tag: 'x' }, never)), 'INVALID_ARGUMENT', name)
    }
    t.same(registry.requests.counts(), {})
  })
})

t.test('without a digest header or HEAD support, the manifest is read', async t => {
  const registry = await buildRegistry(t)
  for (const kind of ['no-digest-header', 'no-head'] as const) {
    registry.setFault(kind)
    registry.requests.clear()
    t.same(await askTag(buildClient(registry.host), 'latest'), { kind: 'digest', digest: index.digest }, kind)
    t.same(registry.requests.counts(), { 'HEAD manifests': 1, 'GET manifests': 1 })
  }
  registry.setFault('no-head')
  t.same(await askTag(buildClient(registry.host), 'never-was'), { kind: 'absent' })
})

t.test('an invalid manifest is rejected', async t => {
  const registry = await buildRegistry(t)
  const client = buildClient(registry.host)
  const { mediaType } = index
  const put = (bytes: Buffer): string => {
    const image: Image = { digest: sha256(bytes), mediaType, bytes, holds: [], blobs: [] }
    registry.put(repository, null, image)
    return image.digest
  }
  const putJson = (value: unknown) => put(Buffer.from(JSON.stringify(value)))
  const listed = (count: number) => Array.from({ length: count }, (_, at) => ({ digest: digestOf(`image-${at}`) }))

  t.test('a manifest may have 4 MiB', async t => {
    const padded = (size: number) => put(Buffer.concat([index.bytes, Buffer.alloc(size - index.bytes.length, ' ')]))
    t.match(await askDigest(client, padded(4 * 1024 * 1024)), {
      kind: 'holds',
      digests: [imageA.digest, imageB.digest],
    })
    t.match(await askDigest(client, padded(4 * 1024 * 1024 + 1)), { code: 'MALFORMED_RESPONSE', message: /4 MiB/ })
  })

  t.test('an index may list 4096 images, and a longer one is rejected', async t => {
    t.match(await askDigest(client, putJson({ schemaVersion: 2, manifests: listed(4096) })), { kind: 'holds' })
    t.match(await askDigest(client, putJson({ schemaVersion: 2, manifests: listed(4097) })), {
      code: 'MALFORMED_RESPONSE',
    })
  })

  for (const [what, value] of Object.entries({
    'an array': [],
    'neither image nor index': { schemaVersion: 2 },
    'both image and index': { schemaVersion: 2, manifests: [], config: {}, layers: [] },
    'the first schema': { schemaVersion: 1, fsLayers: [], config: {} },
    'manifests that are not a list': { schemaVersion: 2, manifests: { digest: imageA.digest } },
    'an entry without a digest': { schemaVersion: 2, manifests: [{ size: 1 }] },
    'an entry with an invalid digest': { schemaVersion: 2, manifests: [{ digest: 'sha256:abc' }] },
    'an entry that is null': { schemaVersion: 2, manifests: [null] },
  })) {
    t.test(what, async t => t.equal(codeOf(await askDigest(client, putJson(value))), 'MALFORMED_RESPONSE'))
  }

  t.test('bytes that are not JSON', async t => {
    t.equal(codeOf(await askDigest(client, put(Buffer.from('{"schemaVersion":')))), 'MALFORMED_RESPONSE')
  })

  t.test('an image that is listed twice is returned once', async t => {
    const twice = putJson({ schemaVersion: 2, manifests: [...listed(1), ...listed(1)] })
    const once = [digestOf('image-0')]
    t.same(await askDigest(client, twice), { kind: 'holds', digests: once, amd64: once })
  })
})

t.test('of an index, only the images for linux/amd64 count', async t => {
  const registry = await buildRegistry(t)
  const ask = (entries: readonly object[]) => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: entries }))
    const image: Image = { digest: sha256(bytes), mediaType: index.mediaType, bytes, holds: [], blobs: [] }
    registry.put(repository, null, image)
    return askDigest(buildClient(registry.host), image.digest)
  }
  const entry = (name: string, platform?: object, mediaType = imageA.mediaType) => ({
    digest: name.startsWith('sha256:') ? name : digestOf(name),
    mediaType,
    ...(platform && { platform }),
  })
  const amd64 = { os: 'linux', architecture: 'amd64' }
  const unknown = { os: 'unknown', architecture: 'unknown' }
  const digests = (...names: string[]) => ({ kind: 'holds', amd64: names.map(name => digestOf(name)) })
  t.match(await ask([entry('arm', { os: 'linux', architecture: 'arm64' }), entry('x', amd64)]), digests('x'))
  t.match(await ask([entry('windows', { os: 'windows', architecture: 'amd64' }), entry('x', amd64)]), digests('x'))
  t.match(await ask([entry('x', amd64), entry('attestation', unknown)]), digests('x'), 'an attestation manifest')
  t.match(await ask([entry('v1', amd64), entry('v3', { ...amd64, variant: 'v3' })]), digests('v1', 'v3'), 'variants')
  t.match(await ask([entry('x'), entry('y')]), digests('x', 'y'), 'entries without a platform')
  t.match(await ask([entry('signature'), entry('x', amd64)]), digests('x'), 'entries with and without a platform')
  t.match(await ask([entry('arm', { os: 'linux', architecture: 'arm64' })]), { amd64: [] }, 'no such image')
  t.match(await ask([entry(index.digest, undefined, index.mediaType)]), { amd64: [imageA.digest] }, 'a nested index')
  t.match(
    await ask([entry(index.digest, undefined, index.mediaType), entry('x', amd64)]),
    digests('x'),
    'a nested index beside an image for linux/amd64',
  )
  t.match(
    await ask([entry('absent-index', amd64, index.mediaType)]),
    { code: 'MALFORMED_RESPONSE' },
    'a nested index that the registry does not have',
  )
  const many = Array.from({ length: 9 }, (_, at) => {
    const held = indexImage([singleImage(`nested-${at}`)])
    registry.put(repository, null, held)
    return entry(held.digest, amd64, index.mediaType)
  })
  t.match(await ask(many), { code: 'MALFORMED_RESPONSE', message: /more than 8 nested/ }, 'too many nested indexes')
})

t.test('only a certain absence is an absence', async t => {
  const registry = await buildRegistry(t)
  const ask = (name = repository) => askAbsence(buildClient(registry.host), 'never-was', name)
  t.same(await ask(), { kind: 'absent' })
  t.same(registry.requests.counts(), { 'GET manifests': 1, 'GET tags': 1, 'GET repository': 1 })

  for (const [kind, code, message] of [
    ['hidden', 'NOT_FOUND', /without the code MANIFEST_UNKNOWN, which proves nothing/],
    ['denied', 'PERMISSION_DENIED', /HTTP 403/],
    ['unavailable', 'UNAVAILABLE', /HTTP 503/],
  ] as const) {
    registry.setFault(kind)
    t.match(await ask(), { kind: 'failed', code, message }, kind)
  }
  registry.setFault({ kind: 'denied', on: 'tags' })
  t.match(await ask(), { kind: 'failed', code: 'PERMISSION_DENIED' }, 'a repository that cannot be listed')
  registry.setFault({ kind: 'denied', on: 'repository' })
  t.match(await ask(), { kind: 'failed', code: 'PERMISSION_DENIED' }, 'a repository whose mode is not known')
  registry.setFault(null)

  t.match(await ask(`${host}/acme/app/no-such`), { kind: 'failed', code: 'NOT_FOUND' }, 'NAME_UNKNOWN')
  const contents = { tags: { latest: 'image-a' } }
  registry.setWorld({
    repositories: {
      [`${host}/acme/remote/nginx`]: { ...contents, pullThrough: true },
      'mirror.gcr.io/library/nginx': contents,
      'registry.example/team/app': contents,
    },
  })
  const pulled = { kind: 'failed', code: 'NOT_FOUND', message: /fetches images from another registry/ }
  t.match(await ask(`${host}/acme/remote/nginx`), pulled, 'a remote repository')
  t.match(await ask('mirror.gcr.io/library/nginx'), pulled, "Google's cache of Docker Hub")
  t.same(await ask('registry.example/team/app'), { kind: 'absent' }, 'another registry')
})

t.test('the mode of a repository is read from Artifact Registry, with the access token', async t => {
  const registry = await buildRegistry(t)
  const { sent, fetch } = buildInternet(registry)
  const credentials = { accessToken: async () => accessToken }
  t.same(await askAbsence(buildClient(null, { credentials, fetch }), 'never-was'), { kind: 'absent' })
  t.match(sent.at(-1), {
    url: {
      href: 'https://artifactregistry.googleapis.com/v1/projects/openagentsgemini/locations/us-central1/repositories/openagents-runtime',
    },
    authorization: `Bearer ${accessToken}`,
  })

  const server = await buildServer(t, (request, response) => {
    const { url = '' } = request
    const [status, body] = url.includes('/manifests/')
      ? [404, { errors: [{ code: 'MANIFEST_UNKNOWN' }] }]
      : [
          200,
          url.includes('/tags/') ? { tags: ['x'] } : { mode: url.startsWith(domainPath) ? 'STANDARD_REPOSITORY' : '' },
        ]
    response.writeHead(status).end(JSON.stringify(body))
  })
  const domainPath = '/v1/projects/example.com:acme/locations/us/repositories/app'
  const ask = (name: string) => askAbsence(buildClient(server), 'x', `us-docker.pkg.dev/${name}/runtime`)
  t.same(await ask('example.com/acme/app'), { kind: 'absent' }, 'a project of a domain')
  t.match(await ask('acme/app'), { code: 'NOT_FOUND' }, 'an unknown mode proves nothing')
})

t.test('a temporary failure is retried with backoff', async t => {
  const registry = await buildRegistry(t)

  t.test('the third attempt succeeds', async t => {
    const { clock, slept } = buildClock()
    registry.setFault({ kind: 'unavailable', times: 2 })
    t.same(await askTag(buildClient(registry.host, { clock }), '7f2e'), { kind: 'digest', digest: imageA.digest })
    t.equal(slept.length, 2)
    t.ok(between(slept[0], 100, 200) && between(slept[1], 200, 400), `waited ${slept}`)
  })

  t.test('no fourth attempt is made', async t => {
    registry.setFault('quota')
    registry.requests.clear()
    t.equal(codeOf(await askTag(buildClient(registry.host), '7f2e')), 'RESOURCE_EXHAUSTED')
    t.same(registry.requests.counts(), { 'HEAD manifests': 3 })
  })

  t.test('a permanent failure is not retried', async t => {
    registry.setFault('denied')
    registry.requests.clear()
    t.equal(codeOf(await askTag(buildClient(registry.host), '7f2e')), 'PERMISSION_DENIED')
    t.same(registry.requests.counts(), { 'HEAD manifests': 1 })
  })

  t.test('a failed token exchange is retried', async t => {
    registry.setFault({ kind: 'unavailable', on: 'token', times: 1 })
    registry.setTokens({})
    t.match(await askTag(buildClient(registry.host), '7f2e'), { kind: 'digest' })
    registry.setTokens(null)
  })

  t.test('no attempt is made after the deadline', async t => {
    registry.setFault('unavailable')
    registry.requests.clear()
    const abort = new AbortController()
    // The deadline is reached during the first pause.
    const clock: Clock = {
      ...systemClock,
      sleep: (ms, signal) => {
        abort.abort(timedOut)
        return systemClock.sleep(ms, signal)
      },
    }
    t.equal(
      codeOf(await askTag(buildClient(registry.host, { clock }), '7f2e', deadlineOf(abort.signal))),
      'DEADLINE_EXCEEDED',
    )
    t.same(registry.requests.counts(), { 'HEAD manifests': 1 })
  })
})

function between(value: number | undefined, low: number, high: number): boolean {
  return value !== undefined && value >= low && value <= high
}

t.test('the deadline', async t => {
  const registry = await buildRegistry(t)
  const client = buildClient(registry.host)

  t.test('ends a hanging request and its connection', async t => {
    registry.setFault('hang')
    const abort = new AbortController()
    const [asked, broken] = [registry.nextRequest(), registry.nextBroken()]
    const answer = askTag(client, '7f2e', deadlineOf(abort.signal))
    await asked
    abort.abort(timedOut)
    t.match(await answer, { kind: 'failed', code: 'DEADLINE_EXCEEDED', message: /runtime-rust:7f2e/ })
    t.match(await broken, { method: 'HEAD', broken: true })
  })

  t.test('does not affect the next question', async t => {
    registry.setFault(null)
    t.same(await askTag(client, '7f2e'), { kind: 'digest', digest: imageA.digest })
  })

  t.test('sends no request if it has been reached already', async t => {
    registry.requests.clear()
    t.equal(codeOf(await askTag(client, '7f2e', deadlineOf(AbortSignal.abort(timedOut)))), 'DEADLINE_EXCEEDED')
    t.same(registry.requests.counts(), {})
  })
})

t.test('concurrent equal questions', async t => {
  const registry = await buildRegistry(t)
  const client = buildClient(registry.host)

  t.test('share one request and its response', async t => {
    registry.requests.clear()
    const warnings: Error[] = []
    process.on('warning', warning => warnings.push(warning))
    const answers = await Promise.all(Array.from({ length: 30 }, () => askTag(client, '7f2e')))
    t.same(new Set(answers.map(codeOf)), new Set(['digest']))
    t.same(registry.requests.counts(), { 'HEAD manifests': 1 })
    t.same(warnings, [])
  })

  t.test('share a request that continues when one caller leaves', async t => {
    registry.requests.clear()
    const release = registry.hold()
    const asked = registry.nextRequest()
    const abort = new AbortController()
    const leaving = askTag(client, '7f2e', deadlineOf(abort.signal))
    const staying = askTag(client, '7f2e')
    await asked
    abort.abort(timedOut)
    t.equal(codeOf(await leaving), 'DEADLINE_EXCEEDED')
    release()
    t.same(await staying, { kind: 'digest', digest: imageA.digest })
    t.same(registry.requests.counts(), { 'HEAD manifests': 1 })
  })

  t.test('share a request that ends when the last caller leaves', async t => {
    const release = registry.hold()
    const [asked, broken] = [registry.nextRequest(), registry.nextBroken()]
    const abort = new AbortController()
    const answers = [askTag(client, '7f2e', deadlineOf(abort.signal)), askTag(client, '7f2e', deadlineOf(abort.signal))]
    await asked
    abort.abort(timedOut)
    t.same((await Promise.all(answers)).map(codeOf), ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED'])
    t.match(await broken, { broken: true })
    release()
  })
})

t.test('the cache', async t => {
  const registry = await buildRegistry(t)
  const client = buildClient(registry.host)

  t.test('retains the content of an index', async t => {
    const first = await askDigest(client, index.digest)
    registry.requests.clear()
    registry.setFault('down')
    t.same(await askDigest(client, index.digest), first)
    t.same(
      await askDigest(client, index.digest, deadlineOf(AbortSignal.abort(timedOut))),
      first,
      'even after the deadline',
    )
    t.same(registry.requests.counts(), {})
    registry.setFault(null)
  })

  t.test('retains neither an absent digest nor a failure', async t => {
    const late = singleImage('late')
    t.equal(codeOf(await askDigest(client, late.digest)), 'absent')
    registry.setFault('denied')
    t.equal(codeOf(await askDigest(client, late.digest)), 'PERMISSION_DENIED')
    registry.setFault(null)
    registry.put(repository, null, late)
    t.equal(codeOf(await askDigest(client, late.digest)), 'holds')
  })

  t.test('does not retain tags', async t => {
    registry.requests.clear()
    await askTag(client, '7f2e')
    await askTag(client, '7f2e')
    t.same(registry.requests.counts(), { 'HEAD manifests': 2 })
    registry.remove(repository, '7f2e')
    t.same(await askTag(client, '7f2e'), { kind: 'absent' })
  })
})

t.test('a token exchange', async t => {
  const registry = await buildRegistry(t)
  const digest = { kind: 'digest', digest: imageA.digest }

  t.test('is made on demand, and its token is used until 10 s before it expires', async t => {
    registry.setTokens({ expiresInSeconds: 300 })
    registry.requests.clear()
    const { clock, advance } = buildClock()
    const client = buildClient(registry.host, { clock })
    t.same(await askTag(client, '7f2e'), digest)
    t.same(registry.requests.counts(), { 'HEAD manifests': 2, 'GET token': 1 })
    t.same(
      registry.requests.all.map(({ authorization }) => authorization),
      ['none', 'none', 'bearer'],
    )
    advance(289_000)
    t.same(await askTag(client, '7f2e'), digest)
    t.match(await askDigest(client, index.digest), { kind: 'holds' })
    t.same(registry.requests.counts(), { 'HEAD manifests': 3, 'GET token': 1, 'GET manifests': 1 })
    advance(1_001)
    t.same(await askTag(client, '7f2e'), digest)
    t.equal(registry.requests.counts()['GET token'], 2)
  })

  t.test('accepts either name of the token, and assumes a lifetime of one minute', async t => {
    registry.setTokens({ field: 'access_token', expiresInSeconds: null })
    registry.requests.clear()
    const { clock, advance } = buildClock()
    const client = buildClient(registry.host, { clock })
    t.same(await askTag(client, '7f2e'), digest)
    advance(49_000)
    t.same(await askTag(client, '7f2e'), digest)
    t.equal(registry.requests.counts()['GET token'], 1)
    advance(1_001)
    t.same(await askTag(client, '7f2e'), digest)
    t.equal(registry.requests.counts()['GET token'], 2)
  })

  t.test('is repeated if the token is rejected', async t => {
    registry.setTokens({})
    const client = buildClient(registry.host)
    t.same(await askTag(client, '7f2e'), digest)
    registry.revokeTokens()
    t.same(await askTag(client, '7f2e'), digest)
  })

  t.test('is made once for each repository', async t => {
    registry.setTokens({})
    registry.put('other/repository', 'x', imageB)
    const client = buildClient(registry.host)
    t.same(await askTag(client, '7f2e'), digest)
    t.match(await client.ask({ about: 'tag', repository: `${host}/other/repository`, tag: 'x' }, never), {
      digest: imageB.digest,
    })
  })

  t.test('is shared by concurrent questions', async t => {
    registry.setTokens({})
    registry.requests.clear()
    const client = buildClient(registry.host)
    const asked = registry.nextRequest()
    const release = registry.hold()
    const answers = [askTag(client, '7f2e'), askTag(client, 'latest'), askDigest(client, index.digest)]
    await asked
    release()
    t.same((await Promise.all(answers)).map(codeOf), ['digest', 'digest', 'holds'])
    t.ok((registry.requests.counts()['GET token'] ?? 0) < 3)
  })

  for (const [kind, code] of [
    ['unauthenticated', 'UNAUTHENTICATED'],
    ['denied', 'PERMISSION_DENIED'],
    ['down', 'UNAVAILABLE'],
    ['nonsense', 'MALFORMED_RESPONSE'],
  ] as const) {
    t.test(`that fails is reported with an error code: ${kind}`, async t => {
      registry.setTokens({})
      registry.setFault({ kind, on: 'token' })
      t.equal(codeOf(await askTag(buildClient(registry.host), '7f2e')), code)
      registry.setFault(null)
    })
  }

  t.test('rejects a token that is not a valid header value, and does not show it', async t => {
    registry.setTokens({ token: 'half-secret\r\nx: y' })
    const answer = await askTag(buildClient(registry.host), '7f2e')
    t.equal(codeOf(answer), 'MALFORMED_RESPONSE')
    t.notMatch(JSON.stringify(answer), 'half-secret')
  })

  t.test('is not repeated endlessly if a registry rejects its own token', async t => {
    const always = await buildServer(t, ({ url, headers }, response) => {
      const realm = `Bearer realm="http://${headers.host}/token"`
      if (url?.startsWith('/token')) response.end('{"token":"useless-token"}')
      else response.writeHead(401, { 'www-authenticate': realm }).end()
    })
    const answer = await askTag(buildClient(always), '7f2e')
    t.equal(codeOf(answer), 'UNAUTHENTICATED')
    t.notMatch(JSON.stringify(answer), 'useless-token')
  })

  for (const challenge of ['Basic realm="x"', 'Bearer', 'Bearer realm="not a url"', 'Bearer service="x"', '']) {
    t.test(`rejects an unsupported challenge: "${challenge}"`, async t => {
      registry.setTokens({ challenge })
      t.equal(codeOf(await askTag(buildClient(registry.host), '7f2e')), 'UNAUTHENTICATED')
    })
  }

  t.test('is not made with another host', async t => {
    let visits = 0
    const foreign = await buildServer(t, (_, response) => {
      visits++
      response.end('{"token":"x"}')
    })
    registry.setTokens({ realm: `http://${foreign}/v2/token` })
    t.match(await askTag(buildClient(registry.host), '7f2e'), {
      code: 'UNAUTHENTICATED',
      message: /No request was sent there/,
    })
    t.equal(visits, 0)
  })
})

t.test('a connection is replaced at its maximum age, so that an address that leads elsewhere is noticed', async t => {
  const [first, second] = [await buildRegistry(t), await buildRegistry(t)]
  second.put(repository, '7f2e', imageB)
  const address = await startSwitchboard(t, first.host)
  const { clock, advance } = buildClock()
  const client = buildClient(address.host, { clock, connectionAge: createConnectionAge(clock, () => 120_000) })
  t.same(await askTag(client, '7f2e'), { kind: 'digest', digest: imageA.digest })
  address.lead(second.host)
  advance(90_000)
  t.same(await askTag(client, '7f2e'), { kind: 'digest', digest: imageA.digest })
  t.equal(address.total(), 1, 'requests share a connection')
  advance(30_000)
  t.same(await askTag(client, '7f2e'), { kind: 'digest', digest: imageB.digest })
  t.equal(address.total(), 2)
  await until(() => address.open() === 1)
})

t.test('the origin of a digest is read again after ten minutes, its content never', async t => {
  const uploads = { 'image-a': { uploadTime: '2026-11-03T12:00:00Z' } }
  const registry = await startRegistry({
    world: { repositories: { [repository]: { tags: { x: 'image-a' }, uploads } } },
  })
  t.teardown(() => registry.close())
  const { clock, advance } = buildClock()
  const client = buildClient(registry.host, { clock })
  const origin = () => client.ask({ about: 'origin', repository, digest: imageA.digest }, never)
  const requests = async () => {
    registry.requests.clear()
    await Promise.all([origin(), askDigest(client, imageA.digest)])
    return registry.requests.counts()
  }
  t.same(await requests(), { 'GET manifests': 2, 'GET tags': 1, 'GET blobs': 1 })
  t.same(await requests(), {})
  advance(600_000)
  t.same(await requests(), { 'GET manifests': 1, 'GET tags': 1, 'GET blobs': 1 })
})

t.test("Google's credentials", async t => {
  const registry = await buildRegistry(t)
  const digest = { kind: 'digest', digest: imageA.digest }
  const credentials = { accessToken: async () => accessToken }
  const realm = `https://${host}/v2/token`

  t.test('are sent only to the token endpoint, for a token of the repository', async t => {
    const internet = buildInternet(registry)
    registry.setTokens({ realm, accessToken })
    t.same(await askTag(buildClient(null, { credentials, fetch: internet.fetch }), '7f2e'), digest)
    t.same(
      internet.sent.map(({ url, authorization }) => [url.origin, url.pathname, authorization?.split(' ')[0] ?? null]),
      [
        [`https://${host}`, `/v2/${path}/manifests/7f2e`, null],
        [`https://${host}`, '/v2/token', 'Basic'],
        [`https://${host}`, `/v2/${path}/manifests/7f2e`, 'Bearer'],
      ],
    )
    const [, exchange, last] = internet.sent
    t.equal(exchange?.url.search, `?service=sandbox&scope=${encodeURIComponent(`repository:${path}:pull`)}`)
    const decoded = Buffer.from(exchange?.authorization?.split(' ')[1] ?? '', 'base64').toString()
    t.equal(decoded, `oauth2accesstoken:${accessToken}`)
    t.notMatch(last?.authorization, accessToken)
  })

  for (const stranger of [
    'https://evil.example/v2/token',
    `http://${host}/v2/token`,
    `https://${host}:8443/v2/token`,
    `https://auth.${host}:8443/v2/token`,
    `https://${host}.evil.example/v2/token`,
    `https://evil-${host}/v2/token`,
    `https://europe-docker.pkg.dev/v2/token`,
    `https://user:password@${host}/v2/token`,
    `https://${host}@evil.example/v2/token`,
  ]) {
    t.test(`are not sent to ${stranger}`, async t => {
      let lookedUp = 0
      const counting = { accessToken: async () => `${++lookedUp}` }
      const internet = buildInternet(registry)
      registry.setTokens({ realm: stranger })
      const answer = await askTag(buildClient(null, { credentials: counting, fetch: internet.fetch }), '7f2e')
      t.equal(codeOf(answer), 'UNAUTHENTICATED')
      t.equal(lookedUp, 0)
      t.same(
        internet.sent.map(({ url, authorization }) => [url.host, authorization]),
        [[host, null]],
      )
    })
  }

  for (const [image, asked, token, google] of [
    ['gcr.io/project/app', 'gcr.io', 'https://gcr.io/v2/token', true],
    ['eu.gcr.io/project/app', 'eu.gcr.io', 'https://gcr.io/v2/token', true],
    ['docker.io/team/app', 'registry-1.docker.io', 'https://auth.docker.io/token', false],
    ['index.docker.io/team/app', 'registry-1.docker.io', 'https://auth.docker.io/token', false],
    ['team/app', 'registry-1.docker.io', 'https://auth.docker.io/token', false],
    ['ghcr.io/team/app', 'ghcr.io', 'https://ghcr.io/v2/token', false],
    ['registry.example:5000/team/app', 'registry.example:5000', 'https://registry.example:5000/v2/token', false],
    ['quay.example/team/app', 'quay.example', 'https://auth.quay.example/v2/token', false],
    ['pkg.dev.evil.example/team/app', 'pkg.dev.evil.example', 'https://pkg.dev.evil.example/v2/token', false],
    ['evilgcr.io/team/app', 'evilgcr.io', 'https://evilgcr.io/v2/token', false],
  ] as const) {
    t.test(`${google ? 'are' : 'are not'} sent for ${image}`, async t => {
      const internet = buildInternet(registry)
      const fetchThere: typeof fetch = (input, init) =>
        internet.fetch(String(input).replace('auth.docker.io/token', 'auth.docker.io/v2/token'), init)
      registry.setTokens({ realm: token })
      registry.put(image, 'x', imageA)
      const client = buildClient(null, { credentials, fetch: fetchThere })
      t.same(await client.ask({ about: 'tag', repository: image, tag: 'x' }, never), digest)
      t.equal(internet.sent[0]?.url.host, asked)
      t.equal(internet.sent[1]?.url.host, new URL(token).host)
      t.equal(internet.sent[1]?.authorization?.startsWith('Basic ') ?? false, google)
    })
  }

  t.test("a single name belongs to Docker Hub's library", async t => {
    const internet = buildInternet(registry)
    registry.setTokens(null)
    registry.put('nginx', 'x', imageA)
    const client = buildClient(null, { credentials, fetch: internet.fetch })
    t.same(await client.ask({ about: 'tag', repository: 'nginx', tag: 'x' }, never), digest)
    t.equal(internet.sent[0]?.url.href, 'https://registry-1.docker.io/v2/library/nginx/manifests/x')
  })

  t.test('are not loaded for an emulator', async t => {
    registry.setTokens({ accessToken })
    const refusing = { accessToken: () => Promise.reject(new Error('looked up')) }
    const answer = await askTag(buildClient(registry.host, { credentials: refusing }), '7f2e')
    t.match(answer, { code: 'UNAUTHENTICATED', message: /HTTP 401/ })
  })

  t.test('do not appear in an error if they are rejected', async t => {
    const internet = buildInternet(registry)
    registry.setTokens({ realm, accessToken: 'another one' })
    const answer = await askTag(buildClient(null, { credentials, fetch: internet.fetch }), '7f2e')
    t.equal(codeOf(answer), 'UNAUTHENTICATED')
    t.notMatch(JSON.stringify(answer), accessToken)
    t.notMatch(JSON.stringify(answer), Buffer.from(accessToken).toString('base64').slice(4, 20))
  })

  t.test('that cannot be loaded are reported with their error code', async t => {
    const internet = buildInternet(registry)
    registry.setTokens({ realm, accessToken })
    const none = { accessToken: () => Promise.reject(new DriftwatchError('UNAUTHENTICATED', 'no credentials here')) }
    const answer = await askTag(buildClient(null, { credentials: none, fetch: internet.fetch }), '7f2e')
    t.match(answer, { code: 'UNAUTHENTICATED', message: /no credentials here/ })
  })

  t.test('that lack a role are reported with the role to grant', async t => {
    const internet = buildInternet(registry)
    registry.setTokens(null)
    registry.setFault('denied')
    const answer = await askTag(buildClient(null, { credentials, fetch: internet.fetch }), '7f2e')
    t.match(answer, { code: 'PERMISSION_DENIED', message: /artifactregistry\.reader/ })
  })
})

t.test('a redirect', async t => {
  const registry = await buildRegistry(t)
  const client = buildClient(registry.host)

  t.test('to another host is not followed', async t => {
    let visits = 0
    const foreign = await buildServer(t, (_, response) => {
      visits++
      response.setHeader('docker-content-digest', imageB.digest).end()
    })
    registry.setFault({ kind: 'redirect', location: `http://${foreign}/v2/${path}/manifests/7f2e` })
    t.match(await askTag(client, '7f2e'), { code: 'MALFORMED_RESPONSE', message: /redirects to 127/ })
    t.equal(visits, 0)
  })

  t.test('within the host is followed', async t => {
    registry.setFault({ kind: 'redirect', location: `/v2/${path}/manifests/latest`, times: 1 })
    t.same(await askTag(client, '7f2e'), { kind: 'digest', digest: index.digest })
  })

  t.test('in a loop, or to an invalid URL, is an error', async t => {
    registry.setFault({ kind: 'redirect', location: `/v2/${path}/manifests/7f2e` })
    t.equal(codeOf(await askTag(client, '7f2e')), 'MALFORMED_RESPONSE')
    registry.setFault({ kind: 'redirect', location: 'http://' })
    t.equal(codeOf(await askTag(client, '7f2e')), 'MALFORMED_RESPONSE')
  })
})

t.test('every request is reported with its code', async t => {
  const registry = await buildRegistry(t)
  const requests: string[] = []
  const client = buildClient(registry.host, {
    onRequest: ({ api, method, code }) => requests.push(`${api} ${method} ${code}`),
  })
  registry.setTokens({})
  await askTag(client, '7f2e')
  await askTag(client, 'never-was')
  await askDigest(client, index.digest)
  registry.setFault({ kind: 'down', times: 1 })
  await askTag(client, '7f2e')
  registry.setFault('hang')
  const [abort, asked, broken] = [new AbortController(), registry.nextRequest(), registry.nextBroken()]
  const hanging = askTag(client, '7f2e', deadlineOf(abort.signal))
  await asked
  abort.abort(timedOut)
  await Promise.all([hanging, broken])
  t.same(requests, [
    'registry HeadManifest UNAUTHENTICATED',
    'registry GetToken OK',
    'registry HeadManifest OK',
    'registry HeadManifest NOT_FOUND',
    'registry GetManifest OK',
    'registry HeadManifest UNAVAILABLE',
    'registry HeadManifest OK',
    'registry HeadManifest DEADLINE_EXCEEDED',
  ])
})

t.test('the content of the emulator is data', async t => {
  const registry = await startRegistry({
    world: {
      repositories: {
        [repository]: { tags: { '7f2e': 'image-a', latest: 'index(image-a,image-b)' }, untagged: ['image-c'] },
      },
    },
  })
  t.teardown(() => registry.close())
  const client = buildClient(registry.host)
  t.same(await askTag(client, '7f2e'), { kind: 'digest', digest: digestOf('image-a') })
  t.same(await askTag(client, 'latest'), { kind: 'digest', digest: indexOf(['image-a', 'image-b']) })
  t.match(await askDigest(client, indexOf(['image-a', 'image-b'])), {
    digests: [digestOf('image-a'), digestOf('image-b')],
  })
  t.same(await askDigest(client, digestOf('image-c')), { kind: 'holds', digests: [], amd64: [] })
  registry.setWorld({ repositories: {}, fault: 'denied' })
  t.equal(codeOf(await askTag(client, '7f2e')), 'PERMISSION_DENIED')
  registry.setFault(null)
  t.equal(codeOf(await askTag(client, '7f2e')), 'absent')
})

t.test('the Application Default Credentials', async t => {
  const environment = { ...process.env }
  t.teardown(() => {
    process.env = environment
  })
  let status = 200
  const metadata = await buildServer(t, ({ headers }, response) => {
    response.setHeader('metadata-flavor', 'Google').setHeader('content-type', 'application/json')
    response.statusCode = headers['metadata-flavor'] === 'Google' ? status : 403
    response.end(JSON.stringify({ access_token: accessToken, expires_in: 3599, token_type: 'Bearer' }))
  })
  const nowhere = { HOME: t.testdir(), CLOUDSDK_CONFIG: t.testdir(), GOOGLE_APPLICATION_CREDENTIALS: '' }

  t.test('come from the metadata server on Cloud Run', async t => {
    process.env = {
      ...environment,
      ...nowhere,
      GCE_METADATA_HOST: metadata,
      METADATA_SERVER_DETECTION: 'assume-present',
    }
    const registry = await buildRegistry(t)
    registry.setTokens({ realm: `https://${host}/v2/token`, accessToken })
    const { fetch } = buildInternet(registry)
    const client = buildClient(null, { credentials: createGoogleCredentials(systemClock), fetch })
    t.same(await askTag(client, '7f2e'), { kind: 'digest', digest: imageA.digest })
  })

  t.test('that are missing are UNAUTHENTICATED', async t => {
    process.env = { ...environment, ...nowhere, METADATA_SERVER_DETECTION: 'none' }
    await t.rejects(createGoogleCredentials(systemClock).accessToken(), {
      code: 'UNAUTHENTICATED',
      message: /gcloud auth/,
    })
  })

  t.test('that the metadata server rejects are UNAUTHENTICATED, and its response is not shown', async t => {
    process.env = {
      ...environment,
      ...nowhere,
      GCE_METADATA_HOST: metadata,
      METADATA_SERVER_DETECTION: 'assume-present',
    }
    status = 403
    const failure = await createGoogleCredentials(systemClock)
      .accessToken()
      .catch((error: Error) => error)
    t.match(failure, { code: 'UNAUTHENTICATED' })
    t.notMatch(String((failure as Error).stack), accessToken)
  })

  t.test('that the metadata server never issues are UNAVAILABLE after a while, and are requested again', async t => {
    const asked = Promise.withResolvers<void>()
    let hangs = true
    const silent = await buildServer(t, (_request, response) => {
      if (hangs) return asked.resolve()
      response.writeHead(200, { 'metadata-flavor': 'Google', 'content-type': 'application/json' })
      response.end(JSON.stringify({ access_token: accessToken, expires_in: 3600, token_type: 'Bearer' }))
    })
    process.env = {
      ...environment,
      ...nowhere,
      K_SERVICE: 'driftwatch',
      GCE_METADATA_HOST: silent,
      METADATA_SERVER_DETECTION: 'assume-present',
    }
    const clock = createAdvancedClock()
    const credentials = createGoogleCredentials(clock)
    const failure = t.rejects(credentials.accessToken(), { code: 'UNAVAILABLE', message: /cannot issue/ })
    await asked.promise
    clock.advance(20_001)
    await failure
    hangs = false
    t.equal(await credentials.accessToken(), accessToken)
  })
})
