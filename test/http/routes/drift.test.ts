import t from 'tap'
import { matchesEtag } from '../../../src/http/routes/drift.ts'
import { createRenderer } from '../../../src/report/rendered.ts'
import type { Report } from '../../../src/report/report.ts'
import { buildReport } from '../../../src/report/report.ts'
import { accept, fleet, mixed, serveApp } from '../../helpers/serve-app.ts'
import { buildSnapshot, buildStackStates, buildStaleState, noon } from '../../helpers/states.ts'

const render = createRenderer()

t.test('/drift responds with JSON, or with a table to clients that accept text', async t => {
  const { get } = await serveApp(t)
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
    t.match(
      await answer.text(),
      /^DRIFTED {2}1 of 6 checks drifted, 1 unknown, 1 pending, 3 in sync · observed 1 s ago \(cycle 42\)/,
    )
  }
})

t.test('each stack and each check has its own path', async t => {
  const { get } = await serveApp(t)
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
  t.match(await (await get('/drift/search/job-image', accept('text/plain'))).text(), /^\? search \/ job-image/m)
})

t.test('filters omit checks and do not change the overall status', async t => {
  const { get } = await serveApp(t)
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
  t.match(text, /^DRIFTED {2}1 check unknown .*\n\n\? search/)
})

t.test('a client with the current ETag gets 304 until the report changes', async t => {
  const { get } = await serveApp(t)
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
  const later = await serveApp(t, {
    ...mixed,
    takenAt: noon + 30_000,
    cycle: { id: 43, startedAt: noon, durationMs: 5 },
  })
  t.equal(
    (await later.get('/drift', { headers: { 'if-none-match': etag } })).status,
    304,
    'another cycle with the same result',
  )
  t.equal((await later.get('/drift', { headers: { 'if-none-match': etag, accept: 'text/plain' } })).status, 200)
  const fixed = await serveApp(t, buildSnapshot())
  t.equal((await fixed.get('/drift', { headers: { 'if-none-match': etag } })).status, 200)
})

t.test('/drift is paged on request, with a link to the next page', async t => {
  const { get, url } = await serveApp(t, fleet)
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
  t.match(await (await get('/drift?limit=1&format=text')).text(), /^IN SYNC {2}1 check in sync/)
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

t.test('a stale state is shown in every format', async t => {
  const { get } = await serveApp(t, buildSnapshot({ stacks: [buildStackStates({ states: [buildStaleState()] })] }))
  t.match(await (await get('/drift')).json(), {
    status: 'unknown',
    stacks: [{ checks: [{ error: { code: 'UNAVAILABLE' } }] }],
  })
  t.equal((await get('/drift/gate')).status, 503)
  const text = await (await get('/drift?format=text')).text()
  t.match(text, /^\? runtime \/ job-image {2}unknown for 2 min$/m)
  t.match(text, /Last observed: 7 min ago/)
})

t.test('a new report is sent as soon as it is rendered', async t => {
  let rendered = render(buildSnapshot())
  const { get } = await serveApp(t, mixed, { rendered: () => rendered })
  t.match(await (await get('/drift')).json(), { status: 'in_sync' })
  rendered = render(mixed)
  t.match(await (await get('/drift')).json(), { status: 'drifted' })
})
