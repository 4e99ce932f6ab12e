import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { Writable } from 'node:stream'
import { promisify } from 'node:util'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import type { Snapshot } from '../../src/drift/store.ts'
import { errorTable } from '../../src/errors.ts'
import { selectMediaType } from '../../src/http/accept.ts'
import { type AppDependencies, buildApp } from '../../src/http/app.ts'
import { createGzipParts, selectEncoding } from '../../src/http/encoding.ts'
import { defaultLimits } from '../../src/http/limits.ts'
import { matchesEtag } from '../../src/http/routes/drift.ts'
import type { ScrapedMetrics } from '../../src/http/routes/metrics.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { createRenderer } from '../../src/report/rendered.ts'
import type { Report } from '../../src/report/report.ts'
import { buildReport, buildStackReport } from '../../src/report/report.ts'
import { version } from '../../src/version.ts'
import {
  buildDifference,
  buildDriftedState,
  buildSnapshot,
  buildStackStates,
  buildStaleState,
  buildState,
  noon,
} from '../helpers/states.ts'
import { unhurriedLimits } from '../helpers/unhurried-limits.ts'
import { until } from '../helpers/until.ts'

const render = createRenderer()

const mixed = buildSnapshot({
  stacks: [
    buildStackStates({ states: [buildState({ check: 'service-image' }), buildDriftedState()] }),
    buildStackStates({ name: 'billing' }),
    buildStackStates({ name: 'search', states: [buildStaleState()] }),
    buildStackStates({ name: 'rollout', states: [buildState({ status: 'pending' })] }),
  ],
})

interface Line {
  readonly severity: string
  readonly message: string
  readonly code?: string
  readonly err?: { readonly message: string; readonly stack: string }
}

/** The app on a port of its own until the test ends, and what it logs. */
async function serve(t: Test, snapshot: Snapshot = mixed, override: Partial<AppDependencies> = {}) {
  const lines: Line[] = []
  const stream = new Writable({
    write(line, _encoding, done) {
      lines.push(JSON.parse(String(line)))
      done()
    },
  })
  const rendered = render(snapshot)
  const app = buildApp({
    rendered: () => rendered,
    readiness: () => ({ ready: true }),
    metrics: createMetrics({ build: { version, node: process.version } }),
    refresh: async () => ({ id: 7, startedAt: noon, durationMs: 5 }),
    auth: () => null,
    limits: unhurriedLimits,
    clock: systemClock,
    log: createLog({ level: 'debug', clock: systemClock, stream }),
    ...override,
  })
  t.teardown(() => app.close())
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, url, lines, get: (path: string, init?: RequestInit) => fetch(url + path, init) }
}

/** Metrics of which only those of the process are there. */
function scraped(runtime: () => Promise<Buffer>): ScrapedMetrics {
  return { contentType: 'text/plain', drift: () => Buffer.alloc(0), runtime }
}

/** What a peer that writes these bytes is answered. */
async function exchange(url: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.end(bytes)
  let answer = ''
  for await (const chunk of socket) answer += chunk
  return answer
}

const accept = (type: string) => ({ headers: { accept: type } })

t.test('/drift responds with JSON, or with a table to clients that accept text', async t => {
  const { get } = await serve(t)
  for (const [path, init] of [
    ['/drift', {}],
    ['/drift', accept('*/*')],
    ['/drift', accept('application/json')],
    ['/drift', accept('text/html,application/xhtml+xml,*/*;q=0.8')],
    ['/drift', accept('text/plain;q=0.1, application/json')],
    ['/drift', accept('application/vnd.unheard-of')],
    ['/drift?format=json', accept('text/plain')],
    ['/drift/', {}],
  ] as const) {
    const answer = await get(path, init)
    t.equal(answer.status, 200)
    t.equal(answer.headers.get('content-type'), 'application/json; charset=utf-8', `${path} ${JSON.stringify(init)}`)
    t.same(await answer.json(), buildReport(mixed))
  }
  for (const [path, init] of [
    ['/drift?format=text', {}],
    ['/drift', accept('text/plain')],
    ['/drift', accept('text/*')],
    ['/drift', accept('application/json;q=0.5, text/plain;charset=utf-8')],
  ] as const) {
    const answer = await get(path, init)
    t.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8', `${path} ${JSON.stringify(init)}`)
    t.match(await answer.text(), /^DRIFTED {2}1 drifted, 1 unknown, 1 pending, 3 in sync/)
  }
})

t.test('/drift always responds with 200, a gate only if everything is in sync or pending', async t => {
  const { get } = await serve(t)
  const codes = { runtime: 503, billing: 200, search: 503, rollout: 200 }
  for (const [stack, code] of Object.entries(codes)) {
    t.equal((await get(`/drift/${stack}`)).status, 200)
    const gate = await get(`/drift/${stack}/gate`)
    t.equal(gate.status, code, stack)
    t.same(await gate.json(), buildStackReport(mixed, stack))
  }
  const gate = await get('/drift/gate')
  t.equal(gate.status, 503)
  t.same(await gate.json(), buildReport(mixed))
  t.match(await (await get('/drift/gate?format=text')).text(), /^DRIFTED/)
  const green = await serve(t, buildSnapshot())
  t.equal((await green.get('/drift/gate')).status, 200)
})

t.test('a gate never responds with 304 and has no filters', async t => {
  const { get } = await serve(t)
  const gate = await get('/drift/gate', { headers: { 'if-none-match': '*' } })
  t.equal(gate.status, 503)
  t.equal(gate.headers.get('etag'), null)
  t.equal(gate.headers.get('cache-control'), 'no-store')
  t.equal((await get('/drift/gate?status=in_sync')).status, 400)
  t.equal((await get('/drift/billing/gate', { headers: { 'if-none-match': '*' } })).status, 200)
})

t.test('each stack and each check has its own path', async t => {
  const { get } = await serve(t)
  t.match(await (await get('/drift/runtime')).json(), {
    name: 'runtime',
    status: 'drifted',
    apiVersion: 'driftwatch/v1',
  })
  t.match(await (await get('/drift/runtime/job-image')).json(), {
    stack: 'runtime',
    check: 'job-image',
    status: 'drifted',
  })
  t.match(await (await get('/drift/billing?format=text')).text(), /^IN SYNC/)
  t.match(await (await get('/drift/search/job-image', accept('text/plain'))).text(), /UNKNOWN {2}search {2}job-image/)
})

t.test('filters omit checks and do not change the overall status', async t => {
  const { get } = await serve(t)
  const shown = async (query: string) => {
    const report = (await (await get(`/drift?${query}`)).json()) as ReturnType<typeof buildReport>
    return [report.status, ...report.stacks.map(({ name, checks }) => `${name}: ${checks.map(({ check }) => check)}`)]
  }
  t.same(await shown('status=pending'), ['drifted', 'rollout: job-image'])
  t.same(await shown('status=pending&status=unknown'), ['drifted', 'search: job-image', 'rollout: job-image'])
  t.same(await shown('check=service-image'), ['drifted', 'runtime: service-image', 'billing: service-image'])
  t.same(await shown('check=service-image&status=drifted'), ['drifted'])
  t.same(await shown('check=migration-execution'), ['drifted'])
  const text = await (await get('/drift?status=unknown&format=text')).text()
  t.match(text, /^DRIFTED {2}1 unknown .*\n\nUNKNOWN {2}search/)
})

t.test('an invalid request is rejected with a code and a remedy', async t => {
  const { get } = await serve(t)
  const cases = [
    [
      '/drift?statuss=drifted',
      400,
      'USAGE',
      'unknown query parameter "statuss": expected format, status, check, limit, after',
    ],
    ['/drift/runtime?status=drifted', 400, 'USAGE', 'unknown query parameter "status": expected format'],
    ['/health/live?x=1', 400, 'USAGE', 'unknown query parameter "x": expected no parameters'],
    [
      '/drift?status=broken',
      400,
      'USAGE',
      'invalid query parameter "status": expected one of drifted, unknown, pending, in_sync; repeat it',
    ],
    ['/drift?status=drifted,unknown', 400, 'USAGE', 'repeat it for several values'],
    ['/drift?status=', 400, 'USAGE', 'invalid query parameter "status": expected one of'],
    ['/drift?check=nope', 400, 'USAGE', 'invalid query parameter "check": expected one of service-image'],
    ['/drift?format=yaml', 400, 'USAGE', 'invalid query parameter "format": expected one of json, text'],
    ['/drift?format=json&format=text', 400, 'USAGE', 'duplicate query parameter "format"'],
    ['/drift/%E0%A4%A', 400, 'USAGE', 'invalid percent-encoding'],
    ['/drift/%zz', 400, 'USAGE', 'invalid percent-encoding'],
    ['/drift/nope', 404, 'STACK_NOT_FOUND', 'unknown stack "nope". GET /drift lists'],
    ['/drift/%00', 404, 'STACK_NOT_FOUND', 'unknown stack "\\u0000"'],
    ['/drift/nope/gate', 404, 'STACK_NOT_FOUND', 'unknown stack "nope"'],
    ['/drift/nope/job-image', 404, 'STACK_NOT_FOUND', 'unknown stack "nope"'],
    [
      '/drift/billing/nope',
      404,
      'CHECK_NOT_FOUND',
      'stack "billing" has no check "nope": its checks are service-image, job-image',
    ],
    ['/drift/search/service-image', 404, 'CHECK_NOT_FOUND', 'its checks are job-image'],
    [`/drift/${'a'.repeat(200)}`, 404, 'ROUTE_NOT_FOUND', 'a name in the path is longer'],
    [
      '/drift/billing/job-image/more',
      404,
      'ROUTE_NOT_FOUND',
      'unknown path "/drift/billing/job-image/more". GET / lists',
    ],
    ['/nope', 404, 'ROUTE_NOT_FOUND', 'unknown path "/nope"'],
    ['/docs/static/nope', 404, 'ROUTE_NOT_FOUND', 'unknown path "/docs/static/nope"'],
  ] as const
  for (const [path, status, code, message] of cases) {
    const answer = await get(path, accept('text/plain'))
    const body = (await answer.json()) as { error: { code: string; message: string } }
    t.equal(answer.status, status, path)
    t.same(Object.keys(body), ['error'], path)
    t.same(Object.keys(body.error), ['code', 'message'])
    t.equal(body.error.code, code, path)
    t.ok(body.error.message.includes(message), body.error.message)
    t.equal(answer.headers.get('content-type'), 'application/json; charset=utf-8', path)
    t.equal(answer.headers.get('cache-control'), 'no-store', path)
    t.equal(answer.headers.get('x-content-type-options'), 'nosniff', path)
  }
})

t.test('only GET and HEAD are supported, and no body is read', async t => {
  const { get } = await serve(t)
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND']) {
    for (const path of ['/drift', '/nope']) {
      const answer = await get(path, { method, ...(method === 'POST' && { body: '{' }) })
      t.equal(answer.status, 405, `${method} ${path}`)
      t.equal(answer.headers.get('allow'), 'GET, HEAD')
      t.match(await answer.json(), { error: { code: 'METHOD_NOT_ALLOWED', message: `${method} ${path}` } })
    }
  }
})

t.test('invalid HTTP is answered in JSON, and the connection is closed', async t => {
  const { url } = await serve(t)
  const garbage = await exchange(url, 'GARBAGE\r\n\r\n')
  t.match(garbage, /^HTTP\/1\.1 400 Bad Request\r\n/)
  t.match(JSON.parse(garbage.split('\r\n\r\n')[1] ?? ''), { error: { code: 'USAGE' } })
  const tooLarge = await exchange(url, `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`)
  t.match(tooLarge, /^HTTP\/1\.1 431 /)
  t.match(tooLarge, 'headers of the request are too large')
})

t.test('requests that Node.js would reject without a body get a code and the default headers', async t => {
  const { url } = await serve(t)
  const ask = async (head: string) => {
    const [line = '', body = ''] = (await exchange(url, `${head}\r\nconnection: close\r\n\r\n`)).split('\r\n\r\n')
    return { head: line, body }
  }
  for (const [head, status, code] of [
    ['GET /drift HTTP/1.1', 400, 'USAGE'],
    ['GET /nope HTTP/1.1', 400, 'USAGE'],
    ['GET /drift HTTP/1.1\r\nhost: x\r\nexpect: tea', 417, 'EXPECTATION_FAILED'],
    ['GET /health/live HTTP/1.1\r\nhost: x\r\nexpect:', 417, 'EXPECTATION_FAILED'],
    ['GARBAGE', 400, 'USAGE'],
  ] as const) {
    const answer = await ask(head)
    t.match(answer.head, new RegExp(`^HTTP/1\\.1 ${status} [A-Z]`), head)
    t.match(answer.head, /content-type: application\/json/, head)
    t.match(answer.head, /x-content-type-options: nosniff/, head)
    t.match(answer.head, /cache-control: no-store/, head)
    t.match(JSON.parse(answer.body), { error: { code } }, head)
  }
  t.match((await ask('GET /drift HTTP/1.0')).head, /^HTTP\/1\.1 200 /, 'HTTP/1.0 has no Host')
  t.match((await ask('GET /drift HTTP/1.0\r\nexpect: tea')).head, /^HTTP\/1\.1 200 /, 'and expects nothing')
  t.match((await ask('GET /drift HTTP/1.1\r\nhost:')).head, /^HTTP\/1\.1 200 /, 'it may be empty')
  const continued = await exchange(
    url,
    'GET /drift HTTP/1.1\r\nhost: x\r\nexpect: 100-Continue\r\nconnection: close\r\n\r\n',
  )
  t.match(continued, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
})

/** What a request that is never finished is answered. */
async function leaveOpen(url: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  if (bytes) socket.write(bytes)
  let answer = ''
  for await (const chunk of socket) answer += chunk
  return answer
}

t.test('requests that are too large or too slow are rejected with a code and affect no others', async t => {
  const limits = {
    ...defaultLimits,
    headersTimeoutMs: 100,
    requestTimeoutMs: 100,
    timeoutCheckMs: 20,
    refreshesPerMinute: 100,
  }
  const { url, get } = await serve(t, mixed, { limits, auth: () => ({ for: 'acting', authenticate: async () => {} }) })
  const code = (answer: string) => JSON.parse(answer.split('\r\n\r\n')[1] ?? '').error.code
  for (const bytes of ['', 'GET /drift HT', 'GET /drift HTTP/1.1\r\nhost: x\r\nx-slow:']) {
    const answer = await leaveOpen(url, bytes)
    t.match(answer, /^HTTP\/1\.1 408 /, bytes)
    t.equal(code(answer), 'REQUEST_TIMEOUT')
  }
  const post = 'POST /refresh HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\nconnection: close\r\n'
  t.match(await leaveOpen(url, `${post}content-length: 5\r\n\r\nab`), /^HTTP\/1\.1 408 /, 'the body never came')
  for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
    const large = await exchange(url, `${post}content-type: ${type}\r\ncontent-length: 2000\r\n\r\n${'a'.repeat(2000)}`)
    t.match(large, /^HTTP\/1\.1 413 /, type)
    t.equal(code(large), 'BODY_TOO_LARGE')
    const small = await exchange(url, `${post}content-type: ${type}\r\ncontent-length: 2\r\n\r\n{}`)
    t.match(small, /^HTTP\/1\.1 400 /, type)
    t.equal(code(small), 'USAGE')
  }
  const untyped = await exchange(url, `${post}content-type: nonsense\r\ncontent-length: 2\r\n\r\n{}`)
  t.match(untyped, /^HTTP\/1\.1 415 /)
  t.equal(code(untyped), 'USAGE')
  const empty = await exchange(url, `${post}content-type: application/json\r\ncontent-length: 0\r\n\r\n`)
  t.match(empty, /^HTTP\/1\.1 200 /, 'curl -d "" is no body')
  for (const path of ['/drift?check=', '/nope/', '/health/live?']) {
    const answer = await get(path + 'a'.repeat(2048))
    t.equal(answer.status, 414, path)
    t.match(await answer.json(), { error: { code: 'URL_TOO_LONG' } })
  }
  t.equal((await get('/drift')).status, 200)
})

t.test('the number of connections is limited, and a closed one makes room', async t => {
  const { url, get } = await serve(t, mixed, { limits: { ...defaultLimits, connections: 2 } })
  const held = [0, 1].map(() => connect(Number(new URL(url).port), '127.0.0.1'))
  await Promise.all(held.map(socket => once(socket, 'connect')))
  await t.rejects(get('/drift'))
  for (const socket of held) socket.destroy()
  await until(async () => (await get('/drift').catch(() => null))?.ok ?? false)
})

t.test('kept-alive connections leave room for new clients', async t => {
  const { app, url } = await serve(t, mixed, { limits: { ...defaultLimits, connections: 10 } })
  const count = () => promisify(app.server.getConnections).call(app.server)
  const request = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n`
  const live = `${request('/health/live')}connection: close\r\n\r\n`
  for (const path of ['/health/live', '/nope', '/%zz']) {
    const sockets = Array.from({ length: 10 }, () => connect(Number(new URL(url).port), '127.0.0.1'))
    await Promise.all(sockets.map(socket => once(socket, 'connect')))
    await until(async () => (await count()) === 10)
    for (const socket of sockets) {
      socket.write(`${request(path)}\r\n`)
      const [answer] = await once(socket, 'data')
      t.match(String(answer), /^HTTP/)
    }
    t.ok(await until(async () => (await exchange(url, live).catch(() => '')).startsWith('HTTP/1.1 200')), path)
    for (const socket of sockets) socket.destroy()
    await until(async () => (await count()) === 0)
  }
  const alone = connect(Number(new URL(url).port), '127.0.0.1')
  alone.write(`${request('/health/live')}\r\n`)
  t.match(String((await once(alone, 'data'))[0]), /connection: keep-alive/i, 'with room they are kept')
  alone.destroy()
})

t.test('the connection of a client that never reads is closed', async t => {
  const { app, url } = await serve(t, mixed, { limits: { ...defaultLimits, idleTimeoutMs: 50 } })
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.pause()
  const request = 'GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n'
  socket.write(request.repeat(20))
  await once(app.server, 'connection')
  await until(async () => (await promisify(app.server.getConnections).call(app.server)) === 0)
})

t.test('while the event loop is overloaded, requests are rejected except for health and metrics', async t => {
  const { get } = await serve(t, mixed, { limits: { ...defaultLimits, loopDelayMs: 1, loopSampleMs: 200 } })
  const block = () => {
    const end = performance.now() + 250
    while (performance.now() < end);
  }
  const refused = await until(async () => {
    // Two blocks: a sample that holds one alone may hold no measure at all.
    block()
    await new Promise(resolve => setImmediate(resolve))
    block()
    const answer = await get('/drift')
    return answer.status === 503 && answer
  })
  t.equal(refused?.headers.get('retry-after'), '2')
  t.match(refused && (await refused.json()), { error: { code: 'OVERLOADED' } })
  for (const path of ['/health/live', '/health/ready', '/metrics']) {
    const statuses = await until(async () => {
      block()
      await new Promise(resolve => setImmediate(resolve))
      block()
      const [before, answer, after] = [await get('/drift'), await get(path), await get('/drift')]
      return before.status === 503 && after.status === 503 && [answer.status]
    })
    t.strictSame(statuses, [200], path)
  }
  await until(async () => (await get('/drift')).ok)
})

t.test('no CORS header is sent', async t => {
  const { get } = await serve(t)
  for (const [method, path] of [
    ['GET', '/drift'],
    ['OPTIONS', '/drift'],
    ['OPTIONS', '/refresh'],
  ] as const) {
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST' }
    const answer = await get(path, { method, headers })
    t.same(
      [...answer.headers.keys()].filter(name => name.startsWith('access-control')),
      [],
    )
    await answer.body?.cancel()
  }
})

t.test('HEAD responds like GET without a body', async t => {
  const { get } = await serve(t)
  for (const path of ['/drift', '/drift?format=text', '/drift/gate', '/drift/runtime/job-image', '/', '/nope']) {
    const [head, full] = await Promise.all([get(path, { method: 'HEAD' }), get(path)])
    t.equal(head.status, full.status, path)
    t.equal(await head.text(), '')
    for (const name of ['content-type', 'content-length', 'etag', 'cache-control', 'vary']) {
      t.equal(head.headers.get(name), full.headers.get(name), `${path} ${name}`)
    }
  }
})

t.test('a client with the current ETag gets 304 until the report changes', async t => {
  const { get } = await serve(t)
  for (const path of [
    '/drift',
    '/drift?format=text',
    '/drift?status=drifted',
    '/drift/billing',
    '/drift/billing/job-image',
  ]) {
    const etag = (await get(path)).headers.get('etag') ?? ''
    const answer = await get(path, { headers: { 'if-none-match': etag } })
    t.equal(answer.status, 304, path)
    t.equal(await answer.text(), '')
    t.equal(answer.headers.get('etag'), etag)
    t.equal(answer.headers.get('cache-control'), 'no-cache')
    t.equal(answer.headers.get('vary'), 'accept, accept-encoding')
    t.equal((await get(path, { method: 'HEAD', headers: { 'if-none-match': etag } })).status, 304)
  }
  const etag = (await get('/drift')).headers.get('etag') ?? ''
  const later = await serve(t, { ...mixed, takenAt: noon + 30_000, cycle: { id: 43, startedAt: noon, durationMs: 5 } })
  t.equal(
    (await later.get('/drift', { headers: { 'if-none-match': etag } })).status,
    304,
    'another cycle with the same result',
  )
  t.equal((await later.get('/drift', { headers: { 'if-none-match': etag, accept: 'text/plain' } })).status, 200)
  const fixed = await serve(t, buildSnapshot())
  t.equal((await fixed.get('/drift', { headers: { 'if-none-match': etag } })).status, 200)
})

/** Enough stacks that their report is worth compressing. */
const fleet = buildSnapshot({
  stacks: Array.from({ length: 30 }, (_, at) => buildStackStates({ name: `stack-${at}`, states: [buildState()] })),
})

/** A GET as it comes over the wire: `fetch` would decode it. */
async function raw(url: string, headers: Record<string, string> = {}, method = 'GET') {
  const [answer] = (await once(httpRequest(url, { headers, method }).end(), 'response')) as [IncomingMessage]
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(await answer.toArray()) }
}

t.test('responses are compressed for clients that accept it, once for all clients', async t => {
  const metrics = createMetrics({ build: { version, node: process.version } })
  metrics.update(fleet)
  const { url } = await serve(t, fleet, { metrics })
  const decoders = { br: brotliDecompressSync, gzip: gunzipSync } as const
  for (const path of ['/drift', '/drift?format=text', '/drift/gate', '/metrics', '/openapi.json']) {
    const plain = await raw(url + path)
    t.equal(plain.headers['content-encoding'], undefined, path)
    t.match(plain.headers.vary, 'accept-encoding', path)
    for (const encoding of path === '/metrics' ? (['gzip'] as const) : (['br', 'gzip'] as const)) {
      const accepting = { 'accept-encoding': encoding }
      const [one, other, head] = await Promise.all([
        raw(url + path, accepting),
        raw(url + path, accepting),
        raw(url + path, accepting, 'HEAD'),
      ])
      t.equal(one.headers['content-encoding'], encoding, path)
      t.equal(Number(one.headers['content-length']), one.body.length)
      t.equal(one.headers.etag, plain.headers.etag, 'the ETag is weak: it stays')
      t.ok(one.body.length * 2 < plain.body.length, `${path} ${encoding} ${one.body.length} of ${plain.body.length}`)
      const decoded = decoders[encoding](one.body)
      if (path === '/metrics') t.match(String(decoded), /^# HELP driftwatch_check_status.*nodejs_version_info.*\n$/s)
      else {
        t.ok(decoded.equals(plain.body), path)
        t.ok(other.body.equals(one.body))
        t.equal(head.headers['content-length'], one.headers['content-length'])
      }
      t.equal(head.body.length, 0)
      t.equal(head.headers['content-encoding'], encoding)
      if (!plain.headers.etag) continue
      const fresh = await raw(url + path, { ...accepting, 'if-none-match': plain.headers.etag })
      t.equal(fresh.status, 304)
      t.equal(fresh.headers['content-encoding'], undefined)
    }
  }
  const small = await raw(`${url}/health/live`, { 'accept-encoding': 'gzip' })
  t.equal(small.headers['content-encoding'], undefined, 'a body that fits into one packet is not compressed')
  t.equal(
    (await raw(`${url}/drift/stack-1/job-image`, { 'accept-encoding': 'br' })).headers['content-encoding'],
    undefined,
  )
})

t.test('Accept-Encoding is ranked by quality, then Brotli first', t => {
  const cases = [
    [undefined, null],
    ['', null],
    ['identity', null],
    ['gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['x-gzip', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['br;q=0.5, gzip', 'gzip'],
    ['br;q=0, gzip;q=0', null],
    ['br;q=0, *', 'gzip'],
    ['*', 'br'],
    ['*;q=0', null],
    ['gzip;q=0.5, identity', null],
    ['gzip;q=0.5, identity;q=0.1', 'gzip'],
    ['deflate, zstd', null],
    ['gzip;q=nonsense', 'gzip'],
    [';;,q=', null],
  ] as const
  for (const [header, encoding] of cases) t.equal(selectEncoding(header), encoding, header ?? 'none')
  t.equal(selectEncoding('br, gzip;q=0.1', ['gzip']), 'gzip')
  t.end()
})

t.test('two parts of any size make one gzip body', async t => {
  const gzip = createGzipParts()
  await t.resolves(
    fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 9000 }),
        fc.array(fc.uint8Array(), { minLength: 1 }),
        async (one, rests) => {
          const first = Buffer.from(one)
          for (const rest of rests) {
            const whole = gunzipSync(await gzip(first, Buffer.from(rest)))
            if (!whole.equals(Buffer.concat([first, rest]))) throw new Error('something else came out')
          }
        },
      ),
      { numRuns: 50 },
    ),
  )
})

t.test('/drift is paged on request, with a link to the next page', async t => {
  const { get, url } = await serve(t, fleet)
  const seen: string[] = []
  let next: string | undefined = `${url}/drift?limit=7&status=in_sync&check=job-image`
  let pages = 0
  while (next) {
    const answer = await fetch(next)
    t.equal(answer.status, 200)
    seen.push(...((await answer.json()) as Report).stacks.map(({ name }) => name))
    const link = answer.headers.get('link')?.match(/^<(.*)>; rel="next"$/)?.[1]
    next = link && String(new URL(link, next))
    pages += 1
  }
  t.equal(pages, 5)
  t.same(seen, fleet.stacks.map(({ name }) => name).sort())
  const etag = (await get('/drift?limit=7')).headers.get('etag') ?? ''
  const again = await get('/drift?limit=7', { headers: { 'if-none-match': etag } })
  t.equal(again.status, 304)
  t.match(again.headers.get('link'), 'after=stack-14', 'a 304 has the link too')
  t.match(await (await get('/drift?limit=1&format=text')).text(), /^IN SYNC {2}1 in sync/)
  t.equal((await get('/drift?after=stack-9')).headers.get('link'), null)
  for (const query of [
    'limit=0',
    'limit=1001',
    'limit=x',
    'limit=1.5',
    `after=${'a'.repeat(200)}`,
    'after=a&after=b',
  ]) {
    const answer = await get(`/drift?${query}`)
    t.equal(answer.status, 400, query)
    t.match(await answer.json(), { error: { code: 'USAGE' } })
  }
  t.equal((await get('/drift/gate?limit=1')).status, 400, 'a gate has no pages')
})

t.test('If-None-Match is compared weakly, in lists and as *', async t => {
  const etag = 'W/"a-json"'
  const cases = [
    [undefined, false],
    ['', false],
    ['*', true],
    [' * ', true],
    ['"a-json"', true],
    ['W/"a-json"', true],
    ['"x", W/"a-json"', true],
    ['"x",W/"y"', false],
    ['a-json', false],
    ['"a-json', false],
  ] as const
  for (const [header, matches] of cases) t.equal(matchesEtag(header, etag), matches, header ?? 'none')
})

t.test('Accept is ranked by quality, then specificity, then position', async t => {
  const offered = ['application/json', 'text/plain'] as const
  const cases = [
    [undefined, 'application/json'],
    ['', 'application/json'],
    ['*/*', 'application/json'],
    ['TEXT/PLAIN', 'text/plain'],
    ['text/plain, */*', 'text/plain'],
    ['*/*, text/plain', 'text/plain'],
    ['application/json, text/plain, */*', 'application/json'],
    ['text/plain, application/json', 'text/plain'],
    ['text/plain;q=0.9, application/json;q=0.8', 'text/plain'],
    ['text/plain;q=0, */*', 'application/json'],
    ['application/json;q=0, */*;q=0.1', 'text/plain'],
    ['text/html', 'application/json'],
    ['text/plain;q=0', 'application/json'],
    ['text/plain;q=nonsense', 'text/plain'],
    [';;q=,,', 'application/json'],
  ] as const
  for (const [header, type] of cases) t.equal(selectMediaType(header, offered), type, header ?? 'none')
})

t.test('a stale state is shown in every format', async t => {
  const { get } = await serve(t, buildSnapshot({ stacks: [buildStackStates({ states: [buildStaleState()] })] }))
  t.match(await (await get('/drift')).json(), {
    status: 'unknown',
    stacks: [{ checks: [{ error: { code: 'UNAVAILABLE' } }] }],
  })
  t.equal((await get('/drift/gate')).status, 503)
  const text = await (await get('/drift?format=text')).text()
  t.match(text, /UNKNOWN {2}runtime {2}job-image {2}since 2 min ago/)
  t.match(text, /last seen {2}7 min ago/)
})

t.test('a new report is sent as soon as it is rendered', async t => {
  let rendered = render(buildSnapshot())
  const { get } = await serve(t, mixed, { rendered: () => rendered })
  t.match(await (await get('/drift')).json(), { status: 'in_sync' })
  rendered = render(mixed)
  t.match(await (await get('/drift')).json(), { status: 'drifted' })
})

t.test('every response has the security headers', async t => {
  const { get } = await serve(t)
  for (const path of ['/', '/drift', '/drift/gate', '/metrics', '/health/live', '/openapi.json', '/nope', '/docs/']) {
    const { headers } = await get(path)
    t.equal(headers.get('x-content-type-options'), 'nosniff', path)
    t.equal(headers.get('referrer-policy'), 'no-referrer', path)
    t.match(headers.get('content-security-policy'), /default-src .*frame-ancestors 'none'/, path)
    t.equal(headers.get('server'), null)
    t.ok(headers.get('cache-control'), path)
  }
})

t.test('/metrics responds in the exposition format', async t => {
  const { get } = await serve(t)
  const answer = await get('/metrics', accept('application/openmetrics-text;version=1.0.0,text/plain;q=0.5'))
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  t.match(await answer.text(), `driftwatch_build_info{version="${version}"`)
})

t.test('health: always live, ready only if the report is up to date', async t => {
  let readiness: ReturnType<AppDependencies['readiness']> = { ready: false, reason: 'the first cycle is not done' }
  const { get } = await serve(t, mixed, { readiness: () => readiness })
  t.same(await (await get('/health/live')).json(), { status: 'ok' })
  const before = await get('/health/ready')
  t.equal(before.status, 503)
  t.same(await before.json(), { status: 'not_ready', reason: 'the first cycle is not done' })
  readiness = { ready: true }
  const after = await get('/health/ready')
  t.equal(after.status, 200)
  t.same(await after.json(), { status: 'ok' })
})

t.test('/ lists the paths in the requested format, and all of them exist', async t => {
  const { get } = await serve(t, buildSnapshot())
  const index = (await (await get('/')).json()) as { name: string; version: string; paths: { path: string }[] }
  t.match(index, { name: 'driftwatch', version })
  t.ok(index.paths.length > 5)
  for (const { path } of index.paths) t.equal((await get(path)).status, 200, path)
  t.match(await (await get('/', accept('text/plain'))).text(), /^driftwatch .*\n\n\/drift {2}/)
})

t.test('/ is a page for browsers: problems in full, worst first, then checks in sync', async t => {
  const { get } = await serve(t)
  const answer = await get('/', accept('text/html,*/*;q=0.8'))
  t.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8')
  const page = await answer.text()
  const places = [
    '<h1><b class="drifted">',
    'expected',
    'runtime job-image',
    'search ',
    'rollout ',
    'runtime service-image',
  ]
  const found = places.map(text => page.indexOf(text))
  t.same(
    found.filter(at => at < 0),
    [],
  )
  t.ok(page.indexOf('<article>') < page.indexOf('<tr>'))
  for (const [, path = ''] of page.matchAll(/href="([^"]*)"/g))
    t.equal((await get(path)).ok, path !== '/drift/gate', path)
  const style = createHash('sha256')
    .update(/<style>(.*)<\/style>/s.exec(page)?.[1] ?? '')
    .digest('base64')
  t.match(answer.headers.get('content-security-policy'), `style-src 'sha256-${style}'`)
})

t.test('texts of vendors and configs are escaped on the page', async t => {
  const hostile = '<script>alert(1)</script>"\'&\u001b[31m\u202e'
  const state = buildDriftedState({
    summary: hostile,
    differences: [buildDifference({ path: hostile, expected: hostile, actual: hostile, via: hostile })],
    notes: [hostile],
    fix: hostile,
    error: { code: 'UNAVAILABLE', message: `${hostile}!`, at: noon },
  })
  const { get } = await serve(t, buildSnapshot({ stacks: [buildStackStates({ name: hostile, states: [state] })] }))
  const page = await (await get('/', accept('text/html'))).text()
  const shown = '&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\\u{1b}[31m\\u{202e}'
  t.equal(page.split(shown).length - 1, 9)
  t.notMatch(page, /<script|(?!\n)\p{C}/u)
})

interface Described {
  readonly openapi: string
  readonly paths: Record<
    string,
    Record<
      string,
      {
        parameters?: { name: string; in: string; schema: object }[]
        responses: Record<string, { content?: Record<string, { schema: object }> }>
      }
    >
  >
}

t.test('/openapi.json describes every path, its parameters and its responses', async t => {
  const { get } = await serve(t)
  const described = (await (await get('/openapi.json')).json()) as Described
  t.match(described, { openapi: '3.1.0', info: { title: 'Driftwatch', version } })
  t.same(Object.keys(described.paths).sort(), [
    '/',
    '/drift',
    '/drift/gate',
    '/drift/{stack}',
    '/drift/{stack}/gate',
    '/drift/{stack}/{check}',
    '/health/live',
    '/health/ready',
    '/metrics',
    '/openapi.json',
    '/refresh',
  ])
  for (const [path, methods] of Object.entries(described.paths)) {
    t.same(Object.keys(methods), [path === '/refresh' ? 'post' : 'get'], path)
  }
  const report = described.paths['/drift']?.get
  t.same(
    report?.parameters?.map(({ name, in: where }) => [where, name]),
    ['format', 'status', 'check', 'limit', 'after'].map(name => ['query', name]),
  )
  t.same(Object.keys(report?.responses ?? {}), ['200', '304', '400'])
  const ajv = new Ajv({ strict: false, formats: { 'date-time': true } })
  const schema = (path: string) =>
    described.paths[path]?.get?.responses['200']?.content?.['application/json']?.schema ?? {}
  t.ok(ajv.validate(schema('/drift'), buildReport(mixed)), ajv.errorsText())
  t.ok(ajv.validate(schema('/drift/{stack}/gate'), buildStackReport(mixed, 'billing')), ajv.errorsText())
  t.notOk(ajv.validate(schema('/drift'), {}))
  const operations = Object.values(described.paths).flatMap(methods => Object.values(methods))
  const parameters = operations.flatMap(({ parameters = [] }) => parameters)
  t.equal(parameters.length, 13)
  for (const { name, schema } of parameters) t.ok(ajv.validateSchema(schema), name)
})

t.test('an error repeats parts of the request only as printable text', async t => {
  const { get } = await serve(t)
  for (const path of ['/drift/%C2%9B%E2%80%AEx', '/drift/billing/%E2%80%A8', '/drift?%C2%9B=1', '/%E2%80%AE'])
    t.notMatch(await (await get(path)).text(), /[\p{C}\p{Zl}]/u, path)
})

t.test('/docs works under its own content security policy', async t => {
  const { get } = await serve(t)
  const page = await get('/docs/')
  const html = await page.text()
  const policy = page.headers.get('content-security-policy') ?? ''
  t.match(policy, "default-src 'self'")
  t.notMatch(policy, 'upgrade-insecure-requests', 'the page works over plain HTTP')
  t.notMatch(html, /<script(?![^>]* src=)/, 'no inline script')
  const assets = [...html.matchAll(/(?:src|href)="\.\/(static\/[^"]+)"/g)].map(([, path]) => `/docs/${path}`)
  t.ok(assets.length >= 5)
  for (const path of assets) {
    const asset = await get(path)
    t.equal(asset.status, 200, path)
    t.match(asset.headers.get('content-type'), /javascript|css|png/, path)
    await asset.body?.cancel()
  }
  t.match(await (await get('/docs/static/swagger-initializer.js')).text(), /"validatorUrl":null/)
  t.match(await (await get('/docs/json')).json(), { openapi: '3.1.0' })
})

t.test('rejected requests are logged at the level of their code, others are not logged', async t => {
  const { get, lines } = await serve(t)
  lines.length = 0
  await get('/drift')
  t.same(lines, [])
  await get('/nope')
  t.match(lines, [
    { severity: 'INFO', code: 'ROUTE_NOT_FOUND', method: 'GET', url: '/nope', message: 'request rejected' },
  ])
  t.equal(errorTable.ROUTE_NOT_FOUND.logLevel, 'info')
})

t.test('a bug is a 500 with details only in the log', async t => {
  const { get, lines } = await serve(t, mixed, {
    metrics: scraped(() => Promise.reject(new Error('secret detail'))),
    rendered: () => {
      throw new TypeError('another secret')
    },
  })
  for (const [path, detail] of [
    ['/metrics', 'secret detail'],
    ['/drift', 'another secret'],
  ] as const) {
    const answer = await get(path)
    t.equal(answer.status, 500)
    const body = await answer.text()
    t.match(JSON.parse(body), { error: { code: 'BUG', message: /report a bug/ } })
    t.notMatch(body, 'secret')
    t.match(lines.at(-1), { severity: 'ERROR', code: 'BUG', err: { message: detail, stack: /http\.test/ } })
  }
})

t.test('a kept-alive connection does not delay the shutdown', async t => {
  const { promise: answer, resolve: scrape } = Promise.withResolvers<Buffer>()
  const started = Promise.withResolvers<void>()
  const metrics = scraped(() => {
    started.resolve()
    return answer
  })
  const { app, url } = await serve(t, mixed, { metrics })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const answered = once(httpRequest(`${url}/metrics`, { agent }).end(), 'response')
  await started.promise
  const { port } = app.server.address() as AddressInfo
  const closed = app.close()
  // The server stops listening only after the hooks that come before its closing.
  while (app.server.listening) await new Promise(resolve => setImmediate(resolve))
  await t.rejects(fetch(`http://127.0.0.1:${port}/drift`), 'no new connections')
  scrape(Buffer.from('the end\n'))
  const [message] = (await answered) as [IncomingMessage]
  t.equal(message.statusCode, 200)
  t.equal(message.headers.connection, 'close')
  t.equal(String((await message.toArray())[0]), 'the end\n', 'the request in flight is answered')
  await closed
})

t.test('a long scrape completes during the shutdown', async t => {
  const long = Buffer.alloc(64 * 2 ** 20, '# a line of the metrics\n')
  const { app, url } = await serve(t, mixed, { metrics: scraped(async () => long) })
  const [message] = (await once(httpRequest(`${url}/metrics`).end(), 'response')) as [IncomingMessage]
  const closed = app.close()
  for (let fairQueue = 0; fairQueue < 100; fairQueue++) await new Promise(resolve => setImmediate(resolve))
  let bytes = 0
  for await (const chunk of message) bytes += (chunk as Buffer).length
  t.equal(bytes, long.length)
  await closed
})

t.test('a request that arrives during the shutdown is answered', async t => {
  const { app, url } = await serve(t)
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let answers = ''
  socket.on('data', chunk => {
    answers += chunk
  })
  const request = 'GET /health/live HTTP/1.1\r\nhost: x\r\n'
  socket.write(`${request}\r\n${request}`)
  await once(socket, 'data')
  const closed = app.close()
  while (app.server.listening) await new Promise(resolve => setImmediate(resolve))
  socket.write('\r\n')
  await once(socket, 'close')
  t.equal(answers.match(/HTTP\/1\.1 200 OK/g)?.length, 2)
  t.equal(answers.match(/connection: close/gi)?.length, 1, 'the last response closes the connection')
  await closed
})
