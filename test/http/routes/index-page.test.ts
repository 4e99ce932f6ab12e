import { createHash } from 'node:crypto'
import { Ajv } from 'ajv'
import t from 'tap'
import { buildReport, buildStackReport } from '../../../src/report/report.ts'
import { version } from '../../../src/version.ts'
import { accept, mixed, serveApp } from '../../helpers/serve-app.ts'
import { buildDifference, buildDriftedState, buildSnapshot, buildStackStates, noon } from '../../helpers/states.ts'

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

t.test('/ lists the paths in the requested format, and all of them exist', async t => {
  const { get } = await serveApp(t, buildSnapshot())
  const index = (await (await get('/')).json()) as { name: string; version: string; paths: { path: string }[] }
  t.match(index, { name: 'driftwatch', version })
  t.ok(index.paths.length > 5)
  for (const { path } of index.paths) t.equal((await get(path)).status, 200, path)
  t.match(await (await get('/', accept('text/plain'))).text(), /^driftwatch .*\n\n\/drift {2}/)
})

t.test('/ is a page for browsers: problems in full, worst first, then checks in sync', async t => {
  const { get } = await serveApp(t)
  const answer = await get('/', accept('text/html,*/*;q=0.8'))
  t.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8')
  const page = await answer.text()
  const places = [
    '<h1><b class="drifted">',
    'expected',
    'runtime / job-image',
    'search ',
    'rollout ',
    'runtime / service-image',
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
  const { get } = await serveApp(t, buildSnapshot({ stacks: [buildStackStates({ name: hostile, states: [state] })] }))
  const page = await (await get('/', accept('text/html'))).text()
  const shown = '&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\\u{1b}[31m\\u{202e}'
  t.equal(page.split(shown).length - 1, 9)
  t.notMatch(page, /<script|(?!\n)\p{C}/u)
})

t.test('/openapi.json describes every path, its parameters and its responses', async t => {
  const { get } = await serveApp(t)
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

t.test('/docs works under its own content security policy', async t => {
  const { get } = await serveApp(t)
  const page = await get('/docs/')
  const html = await page.text()
  const policy = page.headers.get('content-security-policy') ?? ''
  t.match(policy, "default-src 'self'")
  t.notMatch(policy, 'upgrade-insecure-requests', 'the page works over plain HTTP')
  t.notMatch(html, /<script(?![^>]* src=)/, 'no inline script')
  t.match(html, '<title>Driftwatch API</title>')
  t.match(html, '<meta name="viewport" content="width=device-width, initial-scale=1">')
  t.match(html, /^<!doctype html>/)
  const assets = [...html.matchAll(/(?:src|href)="\.\/(static\/[^"]+)"/g)].map(([, path]) => `/docs/${path}`)
  t.ok(assets.length >= 5)
  for (const path of assets) {
    const asset = await get(path)
    t.equal(asset.status, 200, path)
    t.match(asset.headers.get('content-type'), /javascript|css|png/, path)
    await asset.body?.cancel()
  }
  t.match(await (await get('/docs/static/swagger-initializer.js')).text(), /"validatorUrl":null/)
  t.notMatch(html + (await (await get('/docs/static/swagger-initializer.js')).text()), /favicon|standalone/i, 'no logo')
  t.match(await get('/docs'), { status: 200, url: `${page.url}` })
  t.match(await (await get('/docs/json')).json(), { openapi: '3.1.0' })
})
