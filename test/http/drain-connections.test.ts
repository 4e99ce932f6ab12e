import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { promisify } from 'node:util'
import t from 'tap'
import { defaultLimits } from '../../src/http/limits.ts'
import { buildScrapedMetrics, exchange, mixed, serveApp } from '../helpers/serve-app.ts'
import { until } from '../helpers/until.ts'

t.test('kept-alive connections leave room for new clients', async t => {
  const { app, url } = await serveApp(t, mixed, { limits: { ...defaultLimits, connections: 10 } })
  const count = () => promisify(app.server.getConnections).call(app.server)
  const request = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n`
  const live = `${request('/health/live')}connection: close\r\n\r\n`
  for (const path of ['/health/live', '/nope', '/%zz']) {
    const sockets = Array.from({ length: 10 }, () => connect(Number(new URL(url).port), '127.0.0.1'))
    await Promise.all(sockets.map(socket => once(socket, 'connect')))
    await until(async () => (await count()) === 10)
    for (const socket of sockets) {
      socket.write(`${request(path)}\r\n`)
      const [answer] = await once(socket, 'data')
      t.match(String(answer), /^HTTP/)
    }
    t.ok(await until(async () => (await exchange(url, live).catch(() => '')).startsWith('HTTP/1.1 200')), path)
    for (const socket of sockets) socket.destroy()
    await until(async () => (await count()) === 0)
  }
  const alone = connect(Number(new URL(url).port), '127.0.0.1')
  alone.write(`${request('/health/live')}\r\n`)
  t.match(String((await once(alone, 'data'))[0]), /connection: keep-alive/i, 'with room they stay open')
  alone.destroy()
})

t.test('a kept-alive connection does not delay the shutdown', async t => {
  const { promise: answer, resolve: scrape } = Promise.withResolvers<Buffer>()
  const started = Promise.withResolvers<void>()
  const metrics = buildScrapedMetrics(() => {
    started.resolve()
    return answer
  })
  const { app, url } = await serveApp(t, mixed, { metrics })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const answered = once(httpRequest(`${url}/metrics`, { agent }).end(), 'response')
  await started.promise
  const { port } = app.server.address() as AddressInfo
  const closed = app.close()
  // The server stops listening only after the hooks that come before its closing.
  while (app.server.listening) await new Promise(resolve => setImmediate(resolve))
  await t.rejects(fetch(`http://127.0.0.1:${port}/drift`), 'no new connections')
  scrape(Buffer.from('the end\n'))
  const [message] = (await answered) as [IncomingMessage]
  t.equal(message.statusCode, 200)
  t.equal(message.headers.connection, 'close')
  t.equal(String((await message.toArray())[0]), 'the end\n', 'the request in flight is answered')
  await closed
})

t.test('a long scrape completes during the shutdown', async t => {
  const long = Buffer.alloc(64 * 2 ** 20, '# a line of the metrics\n')
  const { app, url } = await serveApp(t, mixed, { metrics: buildScrapedMetrics(async () => long) })
  const [message] = (await once(httpRequest(`${url}/metrics`).end(), 'response')) as [IncomingMessage]
  const closed = app.close()
  for (let fairQueue = 0; fairQueue < 100; fairQueue++) await new Promise(resolve => setImmediate(resolve))
  let bytes = 0
  for await (const chunk of message) bytes += (chunk as Buffer).length
  t.equal(bytes, long.length)
  await closed
})

t.test('a request that arrives during the shutdown is answered', async t => {
  const { app, url } = await serveApp(t)
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let answers = ''
  socket.on('data', chunk => {
    answers += chunk
  })
  const request = 'GET /health/live HTTP/1.1\r\nhost: x\r\n'
  socket.write(`${request}\r\n${request}`)
  await once(socket, 'data')
  const closed = app.close()
  while (app.server.listening) await new Promise(resolve => setImmediate(resolve))
  socket.write('\r\n')
  await once(socket, 'close')
  t.equal(answers.match(/HTTP\/1\.1 200 OK/g)?.length, 2)
  t.equal(answers.match(/connection: close/gi)?.length, 1, 'the last response closes the connection')
  await closed
})
