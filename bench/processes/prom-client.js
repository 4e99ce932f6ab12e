// The floor of /metrics: prom-client with the same series, rendered at each scrape. The bench provides them as text.
import { createServer } from 'node:http'
import { Gauge, Registry } from 'prom-client'

const { text } = await new Promise(resolve => process.once('message', resolve))

const registry = new Registry()
const gauges = new Map()
for (const [, name, labels = '', value] of text.matchAll(/^([a-z_]+)(?:\{(.*)\})? (\S+)$/gm)) {
  const pairs = Object.fromEntries([...labels.matchAll(/([a-z]+)="([^"]*)"/g)].map(([, key, word]) => [key, word]))
  const gauge =
    gauges.get(name) ?? new Gauge({ name, help: name, labelNames: Object.keys(pairs), registers: [registry] })
  gauges.set(name, gauge)
  gauge.set(pairs, Number(value))
}

const server = createServer(async (_request, response) => {
  response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics())
})
server.listen(0, '127.0.0.1', () => {
  console.error(JSON.stringify({ message: 'ready', port: server.address().port }))
})
