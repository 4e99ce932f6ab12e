import t from 'tap'
import { errorTable } from '../../src/errors.ts'
import { accept, buildScrapedMetrics, exchange, mixed, serveApp } from '../helpers/serve-app.ts'

t.test('an invalid request is rejected with a code and a remedy', async t => {
  const { get } = await serveApp(t)
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
    ['/drift?limit=x', 400, 'USAGE', 'invalid query parameter "limit": must be integer'],
    ['/drift?limit=0', 400, 'USAGE', 'invalid query parameter "limit": must be >= 1'],
    ['/drift?limit=1&limit=2', 400, 'USAGE', 'duplicate query parameter "limit"'],
    ['/drift?=x', 400, 'USAGE', 'unknown query parameter "": expected format'],
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
  const { get } = await serveApp(t)
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
  const { url } = await serveApp(t)
  const garbage = await exchange(url, 'GARBAGE\r\n\r\n')
  t.match(garbage, /^HTTP\/1\.1 400 Bad Request\r\n/)
  t.match(JSON.parse(garbage.split('\r\n\r\n')[1] ?? ''), { error: { code: 'USAGE' } })
  const tooLarge = await exchange(url, `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`)
  t.match(tooLarge, /^HTTP\/1\.1 431 /)
  t.match(tooLarge, 'headers of the request are too large')
})

t.test('requests that Node.js would reject without a body get a code and the default headers', async t => {
  const { url } = await serveApp(t)
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

t.test('malformed requests get one coded response, after the responses to the requests before them', async t => {
  const { url, get } = await serveApp(t)
  const live = 'GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n'
  for (const [request, status, code] of [
    ['CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n', 405, 'METHOD_NOT_ALLOWED'],
    ['CONNECT / HTTP/1.1\r\nhost: x\r\n\r\nmore', 405, 'METHOD_NOT_ALLOWED'],
    ['GET /drift HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n', 400, 'USAGE'],
    ['GET /drift HTTP/1.1\r\nHost: a\r\nHOST: a\r\nconnection: close\r\n\r\n', 400, 'USAGE'],
    ['GET /drift HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n', 400, 'USAGE'],
    ['GET /drift HTTP/1.1\r\nhost: a, b\r\nconnection: close\r\n\r\n', 400, 'USAGE'],
    ['GET /drift HTTP/1.1\r\nhost: me@a/x\r\nconnection: close\r\n\r\n', 400, 'USAGE'],
    ['GET /drift HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'USAGE'],
    ['OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 405, 'METHOD_NOT_ALLOWED'],
    ['BREW / HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'USAGE'],
    ['GET / HTTP/3.0\r\nhost: x\r\n\r\n', 400, 'USAGE'],
    ['GET / HTTP/1.1\r\nhost : x\r\n\r\n', 400, 'USAGE'],
    ['POST /refresh HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n', 400, 'USAGE'],
    ['GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400, 'USAGE'],
    ['GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n', 400, 'USAGE'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'USAGE'],
    ['\x16\x03\x01\x02\x00\x01\x00\x01', 400, 'USAGE'],
  ] as const) {
    for (const before of ['', live.repeat(2)]) {
      const answers = (await exchange(url, before + request)).split(/(?=HTTP\/1\.1 \d)/)
      const name = `${JSON.stringify(request)} after ${before.length}`
      t.equal(answers.length, before === '' ? 1 : 3, name)
      t.ok(
        answers.slice(0, -1).every(answer => answer.startsWith('HTTP/1.1 200 ')),
        name,
      )
      const [head = '', body = ''] = answers.at(-1)?.split('\r\n\r\n') ?? []
      t.ok(head.startsWith(`HTTP/1.1 ${status} `), `${name}: ${head}`)
      t.match(head, /content-type: application\/json/, name)
      t.match(head, /x-content-type-options: nosniff/, name)
      if (body) t.match(JSON.parse(body), { error: { code } }, name)
      else t.fail(`${name}: no body`)
    }
  }
  for (const host of ['x', 'x:80', 'x.example:', '127.0.0.1:1', '[::1]:8080', ''])
    t.match(await exchange(url, `GET /drift HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`), / 200 OK/, host)
  t.equal((await get('/drift')).status, 200)
})

t.test('no CORS header is sent', async t => {
  const { get } = await serveApp(t)
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
  const { get } = await serveApp(t)
  for (const path of ['/drift', '/drift?format=text', '/drift/gate', '/drift/runtime/job-image', '/', '/nope']) {
    const [head, full] = await Promise.all([get(path, { method: 'HEAD' }), get(path)])
    t.equal(head.status, full.status, path)
    t.equal(await head.text(), '')
    for (const name of ['content-type', 'content-length', 'etag', 'cache-control', 'vary']) {
      t.equal(head.headers.get(name), full.headers.get(name), `${path} ${name}`)
    }
  }
})

t.test('every response has the security headers', async t => {
  const { get } = await serveApp(t)
  for (const path of ['/', '/drift', '/drift/gate', '/metrics', '/health/live', '/openapi.json', '/nope', '/docs/']) {
    const { headers } = await get(path)
    t.equal(headers.get('x-content-type-options'), 'nosniff', path)
    t.equal(headers.get('referrer-policy'), 'no-referrer', path)
    t.match(headers.get('content-security-policy'), /default-src .*frame-ancestors 'none'/, path)
    t.equal(headers.get('server'), null)
    t.ok(headers.get('cache-control'), path)
  }
})

t.test('an error repeats parts of the request only as printable text', async t => {
  const { get } = await serveApp(t)
  for (const path of ['/drift/%C2%9B%E2%80%AEx', '/drift/billing/%E2%80%A8', '/drift?%C2%9B=1', '/%E2%80%AE'])
    t.notMatch(await (await get(path)).text(), /[\p{C}\p{Zl}]/u, path)
})

t.test('rejected requests are logged at the level of their code, others are not logged', async t => {
  const { get, lines } = await serveApp(t)
  lines.length = 0
  await get('/drift')
  t.same(lines, [])
  await get('/nope')
  t.match(lines, [
    { severity: 'INFO', code: 'ROUTE_NOT_FOUND', method: 'GET', url: '/nope', message: 'request rejected' },
  ])
  t.equal(errorTable.ROUTE_NOT_FOUND.logLevel, 'info')
})

t.test('no query of a request is logged or repeated in an error', async t => {
  const { get, url, lines } = await serveApp(t)
  lines.length = 0
  const secret = 's3cret'
  const paths = ['/nope', '/drift', '/drift/nope', '/drift/gate', '/refresh', '/metrics', '/docs/', '/%zz']
  for (const path of paths) await get(`${path}?token=${secret}&${secret}=1`).then(answer => answer.text())
  const posted = await get(`/drift?token=${secret}`, { method: 'POST' })
  t.notMatch(await posted.text(), secret)
  t.notMatch(await (await get(`/nope?token=${secret}`)).text(), secret)
  await exchange(url, `GET http://me:${secret}@x/nope?token=${secret} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
  t.ok(lines.length > paths.length)
  t.notMatch(JSON.stringify(lines), secret)
})

t.test('a bug is a 500 with details only in the log', async t => {
  const { get, lines } = await serveApp(t, mixed, {
    metrics: buildScrapedMetrics(() => Promise.reject(new Error('secret detail'))),
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
    t.match(lines.at(-1), { severity: 'ERROR', code: 'BUG', err: { message: detail, stack: /error-replies\.test/ } })
  }
})
