import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createHttpClient, type HttpRequest } from '../../../src/clients/http/http-client.ts'
import { systemClock } from '../../../src/clock.ts'
import { startDeadline, withDeadline } from '../../../src/concurrency/deadline.ts'
import { DriftwatchError } from '../../../src/errors.ts'
import { version } from '../../../src/version.ts'
import { hostileAnswers, startHostileServer } from '../../helpers/hostile-server.ts'

const send = createHttpClient()

async function serve(t: Test, listener: RequestListener): Promise<URL> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
}

function buildRequest(url: URL, override: Partial<HttpRequest> = {}): HttpRequest {
  return { url, headers: {}, maxBodyBytes: 100, deadline: startDeadline(systemClock, 10_000), ...override }
}

t.test('a request carries the user agent of Driftwatch, and returns status, headers and body', async t => {
  const url = await serve(t, ({ headers, method }, response) => {
    response.writeHead(404, { 'x-sent': `${method} ${headers['user-agent']} ${headers['x-own']}` }).end('gone')
  })
  const response = await send(buildRequest(url, { headers: { 'x-own': '1' } }))
  t.match(response, { status: 404, body: Buffer.from('gone'), location: null })
  t.equal(response.headers.get('x-sent'), `GET driftwatch/${version} 1`)
  const head = await send(buildRequest(url, { method: 'HEAD' }))
  t.match(head.headers.get('x-sent'), /^HEAD /)
  t.equal(head.body?.length, 0)
})

t.test('a body at the limit is returned, and a longer one is null', async t => {
  const url = await serve(t, (request, response) => response.end('x'.repeat(Number(request.url?.slice(1)))))
  t.equal((await send(buildRequest(new URL('/100', url)))).body?.length, 100)
  t.equal((await send(buildRequest(new URL('/101', url)))).body, null)
})

t.test('redirects are followed within the origin only, at most three times', async t => {
  const seen: string[] = []
  const foreign = await serve(t, ({ headers }, response) => {
    seen.push(`foreign ${headers.authorization}`)
    response.end()
  })
  const url = await serve(t, (request, response) => {
    seen.push(`${request.url} ${request.headers.authorization}`)
    const location = new Map([
      ['/moved', '/here'],
      ['/circle', '/circle'],
      ['/foreign', `${foreign.href}path?query`],
      ['/invalid', 'http://'],
    ]).get(request.url ?? '')
    response.writeHead(location || request.url === '/absent' ? 302 : 200, location ? { location } : {}).end()
  })
  const redirect = async (path: string) => {
    seen.length = 0
    const statuses: unknown[] = []
    const onResult: HttpRequest['onResult'] = result => statuses.push('status' in result ? result.status : result.code)
    const request = buildRequest(new URL(path, url), { headers: { authorization: 'Bearer a' }, onResult })
    const { status, location } = await send(request)
    return { status, location: location?.href ?? null, statuses }
  }
  t.strictSame(await redirect('/moved'), { status: 200, location: null, statuses: [302, 200] })
  t.strictSame(seen, ['/moved Bearer a', '/here Bearer a'])
  t.match(await redirect('/circle'), { status: 302, location: `${url.href}circle`, statuses: [302, 302, 302, 302] })
  t.match(await redirect('/foreign'), { status: 302, location: `${foreign.href}path?query`, statuses: [302] })
  t.strictSame(seen, ['/foreign Bearer a'], 'the other origin receives no request')
  t.match(await redirect('/invalid'), { status: 302, location: null })
  t.match(await redirect('/absent'), { status: 302, location: null })
})

t.test('a request without a complete response rejects with a coded error that names the host', async t => {
  const url = await serve(t, ({ url, socket }, response) => {
    if (url === '/cut') socket.destroy()
    if (url === '/odd') socket.end('SSH-2.0-OpenSSH\r\n')
    if (url === '/partial') response.write('x')
  })
  const failure = (path: string, code: string, message: RegExp) =>
    t.rejects(send(buildRequest(new URL(path, url))), { code, message }, path)
  await failure('/cut', 'UNAVAILABLE', /^request to 127\.0\.0\.1:\d+ failed \(UND_ERR_SOCKET\)$/)
  await failure('/odd', 'MALFORMED_RESPONSE', /^127\.0\.0\.1:\d+ sent a response that is not HTTP/)
  await failure('http://127.0.0.1:1/', 'UNAVAILABLE', /^request to 127\.0\.0\.1:1 failed \(/)

  for (const path of ['/silent', '/partial']) {
    const results: unknown[] = []
    const request = buildRequest(new URL(path, url), { onResult: result => results.push(result) })
    const sent = withDeadline(systemClock, 50, undefined, deadline => send({ ...request, deadline }))
    const message = `no response from ${url.host}: timed out after 50 ms`
    await t.rejects(sent, { code: 'DEADLINE_EXCEEDED', message }, path)
    t.match(results, [{ code: 'DEADLINE_EXCEEDED' }])
  }
  const ended = startDeadline(systemClock, 50, AbortSignal.abort())
  await t.rejects(send(buildRequest(url, { deadline: ended })), { code: 'ABORTED', message: /shutting down$/ })
  const coded = createHttpClient(() => Promise.reject(new DriftwatchError('INVALID_ARGUMENT', 'as it was')))
  await t.rejects(coded(buildRequest(url)), { code: 'INVALID_ARGUMENT', message: 'as it was' })
})

t.test('every request over pooled connections ends, whatever is answered, and the next one succeeds', async t => {
  const host = await startHostileServer(t, () => 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}')
  const ask = (answer: string) =>
    withDeadline(systemClock, 1000, undefined, deadline =>
      send(buildRequest(new URL(`http://${host}/${encodeURIComponent(answer)}`), { deadline })),
    )
  const ended = await Promise.allSettled([...hostileAnswers, 'usual'].map(ask))
  for (const [at, result] of ended.entries()) {
    if (result.status === 'fulfilled') continue
    t.type(result.reason, DriftwatchError, hostileAnswers[at] ?? 'usual')
    t.match(result.reason.code, /^(UNAVAILABLE|MALFORMED_RESPONSE|DEADLINE_EXCEEDED)$/, hostileAnswers[at] ?? 'usual')
  }
  t.match(ended.at(-1), { status: 'fulfilled', value: { status: 200 } }, 'beside them')
  const codeOf = (answer: string) => ended[hostileAnswers.indexOf(answer)]
  for (const answer of ['an upgrade', 'an upgrade to nothing', 'an open upgrade', 'status 000', 'endless headers'])
    t.match(codeOf(answer), { status: 'rejected', reason: { code: 'MALFORMED_RESPONSE' } }, answer)
  t.match(await ask('usual'), { status: 200 }, 'after them')
})
