import t from 'tap'
import { buildReport, buildStackReport } from '../../../src/report/report.ts'
import { mixed, serveApp } from '../../helpers/serve-app.ts'
import { buildSnapshot } from '../../helpers/states.ts'

t.test('/drift always responds with 200, a gate only if everything is in sync or pending', async t => {
  const { get } = await serveApp(t)
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
  const green = await serveApp(t, buildSnapshot())
  t.equal((await green.get('/drift/gate')).status, 200)
})

t.test('a gate never responds with 304 and has no filters', async t => {
  const { get } = await serveApp(t)
  const gate = await get('/drift/gate', { headers: { 'if-none-match': '*' } })
  t.equal(gate.status, 503)
  t.equal(gate.headers.get('etag'), null)
  t.equal(gate.headers.get('cache-control'), 'no-store')
  t.equal((await get('/drift/gate?status=in_sync')).status, 400)
  t.equal((await get('/drift/billing/gate', { headers: { 'if-none-match': '*' } })).status, 200)
})
