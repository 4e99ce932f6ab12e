import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { selectMediaType } from '../../src/http/accept.ts'
import { createGzipParts, selectEncoding } from '../../src/http/encoding.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { version } from '../../src/version.ts'
import { fleet, serveApp } from '../helpers/serve-app.ts'

/** A GET with the raw body, which `fetch` would decode. */
async function raw(url: string, headers: Record<string, string> = {}, method = 'GET') {
  const [answer] = (await once(httpRequest(url, { headers, method }).end(), 'response')) as [IncomingMessage]
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(await answer.toArray()) }
}

t.test('responses are compressed for clients that accept it, once for all clients', async t => {
  const metrics = createMetrics({ build: { version, node: process.version } })
  metrics.update(fleet)
  const { url } = await serveApp(t, fleet, { metrics })
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
            if (!whole.equals(Buffer.concat([first, rest]))) throw new Error('the output differs')
          }
        },
      ),
      { numRuns: 50 },
    ),
  )
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
