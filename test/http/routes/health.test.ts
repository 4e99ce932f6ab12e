import t from 'tap'
import type { AppDependencies } from '../../../src/http/app.ts'
import { version } from '../../../src/version.ts'
import { accept, mixed, serveApp } from '../../helpers/serve-app.ts'

t.test('/metrics responds in the exposition format', async t => {
  const { get } = await serveApp(t)
  const answer = await get('/metrics', accept('application/openmetrics-text;version=1.0.0,text/plain;q=0.5'))
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  t.match(await answer.text(), `driftwatch_build_info{version="${version}"`)
})

t.test('health: always live, ready only if the report is up to date', async t => {
  let readiness: ReturnType<AppDependencies['readiness']> = { ready: false, reason: 'the first cycle is not done' }
  const { get } = await serveApp(t, mixed, { readiness: () => readiness })
  t.same(await (await get('/health/live')).json(), { status: 'ok' })
  const before = await get('/health/ready')
  t.equal(before.status, 503)
  t.same(await before.json(), { status: 'not_ready', reason: 'the first cycle is not done' })
  readiness = { ready: true }
  const after = await get('/health/ready')
  t.equal(after.status, 200)
  t.same(await after.json(), { status: 'ok' })
})
