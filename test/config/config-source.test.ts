import { renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import { loadWorld } from '../../sandbox/world.ts'
import { createLog } from '../../src/cloud-log.ts'
import { type ConfigSource, createConfigSource } from '../../src/config/config-source.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import type { Report } from '../../src/report/report.ts'
import { type Server, startServer } from '../../src/server.ts'
import { createAdvancedClock } from '../helpers/clock.ts'
import { fleetSince, fleetWorld, project, region } from '../helpers/fleet.ts'
import { until } from '../helpers/until.ts'

const stackOf = (name: string) => ({ name, project, region, service: { name }, job: { name: `${name}-migrate` } })

function configOf(names: readonly string[], top: object = {}): string {
  const yearly = { schedule: '0 0 1 1 *', staleAfter: '400d', timeout: '20s', host: '127.0.0.1' }
  return JSON.stringify({ ...yearly, ...top, stacks: names.map(stackOf) })
}

async function build(t: Test) {
  const directory = t.testdir({ one: { 'driftwatch.yaml': configOf(['a']) }, two: { 'driftwatch.yaml': '' } })
  const link = `${directory}/mounted`
  symlinkSync('one', link)
  const fleet = [{ name: 'a' }, { name: 'b' }]
  const emulator = await startCloudRun({ world: loadWorld(fleetWorld(fleet), fleetSince) })
  t.teardown(() => emulator.close())
  const environment = readEnvironment({ CLOUD_RUN_EMULATOR_HOST: emulator.host, PORT: '0' })
  const clock = createAdvancedClock()
  const stream = new PassThrough()
  stream.resume()
  const log = createLog({ level: 'info', clock, stream })
  let service: Server
  const source: ConfigSource = createConfigSource({
    file: `${link}/driftwatch.yaml`,
    environment,
    clock,
    log,
    onRead: () => service.configRead(source.current(), source.state()),
  })
  service = await startServer({ config: source.current(), environment, clock, log, nodeVersion: process.version })
  t.teardown(() => service.close())
  const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${service.port}${path}`, init)
  const report = async () => (await (await get('/drift')).json()) as Report
  await until(async () => (await report()).status === 'in_sync')
  return { directory, link, source, clock, get, report }
}

t.test('a changed config applies immediately, and stacks that stay keep their state', async t => {
  const { link, source, get, report } = await build(t)
  const [before] = (await report()).stacks
  writeFileSync(`${link}/driftwatch.yaml`, configOf(['a', 'b'], { rolloutGrace: '1m' }))
  source.reload()
  const both = await until(async () => {
    const now = await report()
    return now.stacks.length === 2 && now.status === 'in_sync' && now
  })
  t.strictSame(both.stacks.map(({ name }) => name).toSorted(), ['a', 'b'])
  const kept = both.stacks.find(({ name }) => name === 'a')
  t.strictSame(
    kept?.checks.map(({ since }) => since),
    before?.checks.map(({ since }) => since),
  )
  t.match(both.config, { error: null, needRestart: [] })
  writeFileSync(`${link}/driftwatch.yaml`, configOf(['b']))
  source.reload()
  await until(async () => (await report()).stacks.length === 1)
  t.notMatch(await (await get('/metrics')).text(), 'stack="a"')
})

t.test('an invalid config is rejected and reported, and the previous one stays', async t => {
  const { link, source, get, report } = await build(t)
  const refused = async () => /^driftwatch_config_reload_failed (.)$/m.exec(await (await get('/metrics')).text())?.[1]
  t.equal(await refused(), '0')
  const before = source.current()
  writeFileSync(`${link}/driftwatch.yaml`, configOf(['a', 'a']))
  source.reload()
  t.equal(source.current(), before)
  t.match(await report(), {
    status: 'in_sync',
    stacks: [{ name: 'a' }],
    config: { error: { code: 'CONFIG_INVALID', message: /stacks\[1\]\.name: duplicate name "a": stacks\[0\]/ } },
  })
  t.equal(await refused(), '1')
  writeFileSync(`${link}/driftwatch.yaml`, configOf(['a'], { host: 'localhost' }))
  source.reload()
  t.equal(await refused(), '0')
  t.match((await report()).config, { error: null, needRestart: ['host'] }, 'fixed, with the keys that need a restart')
})

t.test('changed authentication applies from the next request', async t => {
  const { link, source, get } = await build(t)
  const use = (auth: object) => {
    writeFileSync(`${link}/driftwatch.yaml`, configOf(['a'], { server: { auth } }))
    source.reload()
  }
  const status = async (token: string, path = '/drift') =>
    (await get(path, { headers: { authorization: `Bearer ${token}` } })).status
  const [old, next] = ['the-token-of-yesterday', 'the-token-of-tomorrow']
  const demands = async (token: string) => {
    const answers = ['/openapi.json', '/docs/json'].map(async path => {
      const answer = await get(path, { headers: { authorization: `Bearer ${token}` } })
      const { security = [] } = (await answer.json()) as { security?: object[] }
      return security.length > 0
    })
    return Promise.all(answers)
  }
  t.equal(await status(''), 200)
  t.strictSame(await demands(''), [false, false])
  use({ kind: 'bearer', tokens: [old] })
  t.equal(await status(old), 200)
  t.equal(await status(next), 401)
  t.equal(await status('', '/health/live'), 200)
  t.strictSame(await demands(old), [true, true])
  use({ kind: 'bearer', tokens: [next] })
  t.equal(await status(old), 401, 'revoked')
  t.equal(await status(next), 200)
  t.strictSame(source.state().needRestart, [])
  use({ kind: 'bearer', tokens: ['short'] })
  t.equal(await status(next), 200, 'a rejected config changes nothing')
  use({ kind: 'bearer', for: 'acting', tokens: [next] })
  t.equal(await status(''), 200)
  t.strictSame(await demands(''), [false, false])
  use({ kind: 'google', audience: 'https://driftwatch.example', callers: ['a@b.example'] })
  t.equal(await status(next), 401)
})

t.test('messages about any invalid config are printable', async t => {
  const { link, source, get } = await build(t)
  writeFileSync(
    `${link}/driftwatch.yaml`,
    JSON.stringify({ '\u009b31m\u202e\u2028': '\u001b[2J\u2029', stacks: '\u009b' }),
  )
  source.reload()
  for (const path of ['/drift', '/drift?format=text', '/'])
    t.notMatch(await (await get(path)).text(), /[\p{Zl}\p{Zp}]|(?!\n)\p{C}/u, path)
  t.match(source.state().error?.message, '\\u{9b}31m\\u{202e}\\u{2028}')
})

t.test('a change through the links of a mounted volume is found when the file is stable', async t => {
  const { directory, link, source, clock, report } = await build(t)
  t.teardown(source.follow())
  clock.advance(2001)
  writeFileSync(`${directory}/two/driftwatch.yaml`, configOf(['b']))
  symlinkSync('two', `${directory}/next`)
  renameSync(`${directory}/next`, link)
  clock.advance(2001)
  t.match((await report()).stacks, [{ name: 'a' }], 'it may still be written')
  clock.advance(2001)
  await until(async () => (await report()).stacks[0]?.name === 'b')
  renameSync(`${directory}/two/driftwatch.yaml`, `${directory}/two/gone.yaml`)
  clock.advance(2001)
  clock.advance(2001)
  t.match((await report()).config?.error, { code: 'CONFIG_UNREADABLE' })
})
