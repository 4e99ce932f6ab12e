import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { runSql } from '../../sandbox/postgres/sql.ts'
import { startSandbox } from '../../sandbox/sandbox.ts'
import { readScenario } from '../../sandbox/scenarios.ts'
import { type ServiceProcess, startService } from '../../sandbox/service-process.ts'
import { loadWorld } from '../../sandbox/world.ts'
import type { Report } from '../../src/report/report.ts'
import { freePort } from '../helpers/free-port.ts'
import { until } from '../helpers/until.ts'

/** Cloud Run sends SIGKILL 10 s after SIGTERM. */
const patienceMs = 8000
const timeoutMs = 5000
const project = 'openagentsgemini'
const kills = Number(process.env.KILLS ?? 10)

const sandbox = await startSandbox({ port: 0, schedule: '* * * * * *' })
await sandbox.service.stop()
t.teardown(() => sandbox.close())

const lines: string[] = []

async function start(t: Test, variables: Record<string, string> = {}): Promise<ServiceProcess> {
  const settings = { SANDBOX_SCHEDULE: '* * * * * *', SANDBOX_TIMEOUT: `${timeoutMs}ms` }
  const env = { ...sandbox.env, ...settings, ...variables }
  const service = await startService({ port: await freePort(), env, onLog: line => lines.push(line) })
  t.teardown(() => service.stop())
  return service
}

async function endsWell(t: Test, { pid, ended }: ServiceProcess): Promise<void> {
  process.kill(pid, 'SIGTERM')
  const end = await Promise.race([ended, delay(patienceMs, 'the process did not end in time', { ref: false })])
  t.equal(end, 'the service exited with code 0')
  const left = () =>
    runSql(sandbox.postgres.adminUrl, "SELECT pid FROM pg_stat_activity WHERE application_name = 'driftwatch'")
  t.ok(await until(async () => (await left()).length === 0), 'no session remains in PostgreSQL')
}

t.test('SIGTERM while Cloud Run does not respond', async t => {
  const service = await start(t)
  sandbox.cloudRun.setWorld({ ...loadWorld(), faults: [{ hang: true }] })
  t.teardown(() => sandbox.cloudRun.setWorld(loadWorld()))
  const asked = sandbox.cloudRun.calls.all.length
  await until(() => sandbox.cloudRun.calls.all.length > asked)
  await endsWell(t, service)
})

t.test('SIGTERM while the registry does not respond', async t => {
  sandbox.cloudRun.setWorld(loadWorld(readScenario('tag-redeployed').patch))
  t.teardown(() => sandbox.cloudRun.setWorld(loadWorld()))
  const deaf = await listen(t, createServer())
  const service = await start(t, { ARTIFACT_REGISTRY_EMULATOR_HOST: `127.0.0.1:${portOf(deaf)}` })
  await once(deaf, 'connection')
  await endsWell(t, service)
})

t.test('SIGTERM while a connected database has stopped responding, during a probe and between probes', async t => {
  const { hostname, port } = new URL(sandbox.postgres.url)
  for (const SANDBOX_SCHEDULE of ['* * * * * *', '0 0 1 1 *']) {
    let silent = false
    const proxy = await listen(
      t,
      // The end of the connection gets no response either.
      createServer({ allowHalfOpen: true }, client => {
        const server = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
        for (const [from, to] of [
          [client, server],
          [server, client],
        ] as const) {
          t.teardown(() => from.destroy())
          from.on('error', () => {}).on('data', bytes => silent || to.write(bytes))
        }
      }),
    )
    const url = new URL(sandbox.postgres.url)
    url.host = `127.0.0.1:${portOf(proxy)}`
    const service = await start(t, { DB_URL: url.href, SANDBOX_SCHEDULE, SANDBOX_STALE_AFTER: '400d' })
    await statusesUntil(service, ({ status }) => status === 'in_sync')
    silent = true
    process.kill(service.pid, 'SIGTERM')
    const end = await Promise.race([
      service.ended,
      delay(patienceMs, 'the process did not end in time', { ref: false }),
    ])
    t.equal(end, 'the service exited with code 0', SANDBOX_SCHEDULE)
  }
})

t.test('SIGTERM with 100 keep-alive connections: requests in progress are answered', async t => {
  const service = await start(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 100 })
  t.teardown(() => agent.destroy())
  const ask = (path: string) =>
    new Promise<number>((resolve, reject) => {
      request(`${service.url}${path}`, { agent }, answer => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
      })
        .on('error', reject)
        .end()
    })
  await Promise.all(Array.from({ length: 100 }, () => ask('/drift')))
  t.equal(Object.values(agent.freeSockets).flat().length, 100)
  const slow = openSlowScrape(service)
  await slow.begun
  await endsWell(t, service)
  t.match(await slow.answer, /driftwatch_build_info.*\n/)
})

t.test(
  'SIGTERM with connections that send nothing, send half a request, or read nothing: none delays the shutdown',
  async t => {
    const service = await start(t)
    const half = 'GET /drift HTTP/1.1\r\nhost: x\r\n'
    const sockets = ['', half, `${half}\r\n`.repeat(2000)].map(words => {
      const socket = connect(Number(new URL(service.url).port), '127.0.0.1').pause()
      // The response is cut off at the end.
      socket.on('error', () => {})
      t.teardown(() => socket.destroy())
      return once(socket, 'connect').then(() => socket.write(words))
    })
    await Promise.all(sockets)
    t.equal((await fetch(`${service.url}/drift`)).status, 200, 'other requests are answered')
    await endsWell(t, service)
  },
)

t.test('SIGTERM during a publish: no series is written partially', async t => {
  sandbox.monitoring.setFaults([{ method: 'CreateTimeSeries', latencyMs: 1000 }])
  t.teardown(() => sandbox.monitoring.setFaults([]))
  const writes = () => sandbox.monitoring.calls.all.filter(({ method }) => method === 'CreateTimeSeries').length
  const before = writes()
  const service = await start(t)
  await until(() => writes() > before)
  await endsWell(t, service)
  await delay(1500)
  const written = (metric: string) =>
    sandbox.monitoring
      .series(project, `metric.type = "custom.googleapis.com/driftwatch/${metric}"`)
      .flatMap(({ points, ...series }) =>
        points.map(({ at }) => JSON.stringify([series.metricLabels, series.resourceLabels, at])),
      )
  // An unknown check has only one series.
  const whole = new Set(written('check_unknown'))
  const drifted = written('check_drifted')
  t.ok(drifted.length > 0)
  t.strictSame(
    drifted.filter(point => !whole.has(point)),
    [],
  )
})

t.test('SIGINT is handled like SIGTERM', async t => {
  const service = await start(t)
  process.kill(service.pid, 'SIGINT')
  t.equal(await service.ended, 'the service exited with code 0')
})

t.test(`SIGKILL at any moment, ${kills} times: the next start is correct`, async t => {
  for (let time = 0; time < kills; time++) {
    const service = await start(t)
    t.strictSame(await statusesUntil(service, ({ status }) => status === 'in_sync'), [], `start ${time + 1}`)
    // Moments in a cycle are identified by its requests, those between cycles by the time.
    const asked = sandbox.cloudRun.calls.all.length + (time % 3)
    await until(() => sandbox.cloudRun.calls.all.length > asked)
    await delay((time * 97) % 1000)
    process.kill(service.pid, 'SIGKILL')
    t.equal(await service.ended, 'the service was terminated by SIGKILL')
  }
})

t.test('a process that was stopped during a probe reports the stall and no drift', async t => {
  const service = await start(t)
  await statusesUntil(service, ({ status }) => status === 'in_sync')
  sandbox.cloudRun.setWorld({ ...loadWorld(), faults: [{ latencyMs: 500 }] })
  t.teardown(() => sandbox.cloudRun.setWorld(loadWorld()))
  const asked = sandbox.cloudRun.calls.all.length
  await until(() => sandbox.cloudRun.calls.all.length > asked)
  process.kill(service.pid, 'SIGSTOP')
  await delay(10_000)
  process.kill(service.pid, 'SIGCONT')
  const blocked = await until(async () => {
    const answer = await fetch(`${service.url}/metrics`)
    return (await answer.text()).match(/^driftwatch_probe_errors_total\{.*code="LOOP_BLOCKED"\} [1-9]/m)
  })
  t.ok(blocked)
  t.strictSame(await statusesUntil(service, isWithoutError), [])
})

async function listen(t: Test, server: Server): Promise<Server> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  return server
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

t.test('everything was released each time', async t => {
  t.ok(lines.some(line => line.includes('"shutting down"')))
  t.strictSame(
    lines.filter(line => line.includes('shutdown timed out')),
    [],
  )
})

/** The statuses of the reports before the expected one, without unknown ones. */
async function statusesUntil({ url }: ServiceProcess, isWanted: (report: Report) => boolean): Promise<string[]> {
  const others: string[] = []
  await until(async () => {
    const answer = await fetch(`${url}/drift`)
    const report = (await answer.json()) as Report
    if (!answer.ok) return false
    if (!['in_sync', 'unknown'].includes(report.status)) others.push(JSON.stringify(report))
    return isWanted(report)
  })
  return others
}

function isWithoutError({ status, stacks }: Report): boolean {
  return status === 'in_sync' && stacks.every(({ checks }) => checks.every(({ error }) => error === null))
}

/** Requests the metrics, and reads them slowly. */
function openSlowScrape({ url }: ServiceProcess) {
  let begin = () => {}
  const begun = new Promise<void>(resolve => {
    begin = resolve
  })
  const answer = new Promise<string>((resolve, reject) => {
    request(`${url}/metrics`, incoming => {
      let text = ''
      begin()
      setTimeout(() => {
        incoming
          .on('data', chunk => {
            text += chunk
          })
          .on('end', () => resolve(text))
          .on('error', reject)
      }, 1000)
    })
      .on('error', reject)
      .end()
  })
  return { begun, answer }
}
