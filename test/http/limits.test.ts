import { once } from 'node:events'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import t from 'tap'
import { defaultLimits } from '../../src/http/limits.ts'
import { exchange, mixed, serveApp } from '../helpers/serve-app.ts'
import { until } from '../helpers/until.ts'

/** The response to a request that is never completed. */
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
  const { url, get } = await serveApp(t, mixed, {
    limits,
    auth: () => ({ for: 'acting', authenticate: async () => {} }),
  })
  const code = (answer: string) => JSON.parse(answer.split('\r\n\r\n')[1] ?? '').error.code
  for (const bytes of ['', 'GET /drift HT', 'GET /drift HTTP/1.1\r\nhost: x\r\nx-slow:']) {
    const answer = await leaveOpen(url, bytes)
    t.match(answer, /^HTTP\/1\.1 408 /, bytes)
    t.equal(code(answer), 'REQUEST_TIMEOUT')
  }
  const post = 'POST /refresh HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\nconnection: close\r\n'
  t.match(await leaveOpen(url, `${post}content-length: 5\r\n\r\nab`), /^HTTP\/1\.1 408 /, 'the body was never received')
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
  t.match(empty, /^HTTP\/1\.1 200 /, 'curl -d "" sends no body')
  for (const path of ['/drift?check=', '/nope/', '/health/live?']) {
    const answer = await get(path + 'a'.repeat(2048))
    t.equal(answer.status, 414, path)
    t.match(await answer.json(), { error: { code: 'URL_TOO_LONG' } })
  }
  t.equal((await get('/drift')).status, 200)
})

t.test('the number of connections is limited, and a closed one makes room', async t => {
  const { url, get } = await serveApp(t, mixed, { limits: { ...defaultLimits, connections: 2 } })
  const held = [0, 1].map(() => connect(Number(new URL(url).port), '127.0.0.1'))
  await Promise.all(held.map(socket => once(socket, 'connect')))
  await t.rejects(get('/drift'))
  for (const socket of held) socket.destroy()
  await until(async () => (await get('/drift').catch(() => null))?.ok ?? false)
})

t.test('the connection of a client that never reads is closed', async t => {
  const { app, url } = await serveApp(t, mixed, { limits: { ...defaultLimits, idleTimeoutMs: 50 } })
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.pause()
  const request = 'GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n'
  socket.write(request.repeat(20))
  await once(app.server, 'connection')
  await until(async () => (await promisify(app.server.getConnections).call(app.server)) === 0)
})

t.test('while the event loop is overloaded, requests are rejected except for health and metrics', async t => {
  const { get } = await serveApp(t, mixed, { limits: { ...defaultLimits, loopDelayMs: 1, loopSampleMs: 200 } })
  const block = () => {
    const end = performance.now() + 250
    while (performance.now() < end);
  }
  const refused = await until(async () => {
    // Two blocks: a sample with only one may contain no measurement.
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
