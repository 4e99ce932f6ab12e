import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { defaultLimits } from '../../src/http/limits.ts'
import { mixed, serveApp } from '../helpers/serve-app.ts'
import { until } from '../helpers/until.ts'

const connections = 20
const allowedBytes = 64 * 2 ** 20

/** As the service is started. */
const v8Flags = ['--max-semi-space-size=4', '--heap-growing-percent=20']

interface Memory {
  readonly rss: number
  readonly peak: number
}

/** A server with a large report, in a process of its own. */
async function startChild(t: Test) {
  const child = fork('test/helpers/serve-child.ts', { env: { ...process.env, NODE_OPTIONS: '' }, execArgv: v8Flags })
  t.teardown(() => child.kill('SIGKILL'))
  const [{ url }] = (await once(child, 'message')) as [{ url: string }]
  const memory = async () => {
    child.send('memory')
    const [answer] = (await once(child, 'message')) as [Memory]
    return answer
  }
  return { url, memory }
}

function openConnection(t: Test, url: string) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.on('error', () => socket.destroy())
  t.teardown(() => socket.destroy())
  return socket
}

const paths = {
  '/docs/static/swagger-ui-bundle.js': '',
  '/drift': '',
  '/drift?format=text': '',
  '/drift?after=stack-1': '&limit=1000',
  '/': 'accept: text/html\r\n',
  '/metrics': '',
  '/openapi.json': 'accept-encoding: br\r\n',
}

for (const [path, header] of Object.entries(paths)) {
  t.test(`${connections} connections that pipeline 300 requests for ${path} need little memory`, async t => {
    const { url, memory } = await startChild(t)
    const isQuery = header.startsWith('&')
    const one = `GET ${path}${isQuery ? header : ''} HTTP/1.1\r\nhost: x\r\n${isQuery ? '' : header}\r\n`
    await (await fetch(url + path)).arrayBuffer()
    const before = await memory()
    for (let at = 0; at < connections; at++) openConnection(t, url).pause().write(one.repeat(300))
    for (let asked = 0; asked < 20; asked++) t.equal((await fetch(`${url}/health/live`)).status, 200)
    const { peak } = await memory()
    const added = peak - Math.max(before.rss, before.peak)
    t.ok(added < allowedBytes, `${Math.round(added / 2 ** 20)} MiB without reading`)
  })
}

t.test('pipelined requests are all answered, in order, to a client that reads', async t => {
  const { url } = await serveApp(t)
  const socket = openConnection(t, url)
  const asked = Array.from({ length: 300 }, (_, at) => `/drift/unknown-${at}`)
  socket.end(asked.map(path => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`).join(''))
  let answer = ''
  for await (const chunk of socket) answer += chunk
  t.strictSame(
    [...answer.matchAll(/unknown stack \\"(unknown-\d+)/g)].map(([, name]) => `/drift/${name}`),
    asked,
  )
})

t.test('a connection is closed once too many requests wait, and others are answered', async t => {
  const { app, url, get } = await serveApp(t, mixed, { limits: { ...defaultLimits, waitingRequests: 50 } })
  const socket = openConnection(t, url).pause()
  const closed = new Promise<void>(resolve => {
    app.server.once('connection', connection => connection.once('close', () => resolve()))
  })
  socket.write('GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(100))
  await closed
  t.equal((await get('/drift')).status, 200)
  const next = openConnection(t, url)
  next.end('GET /drift HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(50))
  let answer = ''
  next.on('data', chunk => {
    answer += chunk
  })
  await until(async () => answer.split('HTTP/1.1 200 OK').length === 51)
})
