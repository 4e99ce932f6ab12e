import { type Child, startChild } from '../child.ts'
import type { Answered, Load } from '../load.ts'
import { interleave, type Measurement, type Row, stacks } from '../row.ts'

const paths = ['/drift', '/drift/gate']
const connections = 10
/** The limits of one round. */
const [mostBytes, mostRequests] = [100 * 2 ** 20, 10_000]

export const answers: Row = {
  name: 'answers',
  title: 'HTTP responses',
  floor: 'plain Fastify sending the same bytes and headers from a Buffer',
  quick: true,
  async measure({ rounds, quick, sizes, fleet }) {
    const generator = startChild({ file: 'bench/load.ts', measured: false })
    const measurements: Measurement[] = []
    for (const size of sizes(1, 100, 1000)) {
      const service = await (await fleet(size)).serve()
      const port = await portOf(service, 'listening')
      const found = await Promise.all(paths.map(path => fetchAnswer(port, path)))
      const bare = startChild({ file: 'bench/processes/bare-fastify.js' })
      bare.send({ answers: found })
      const barePort = await portOf(bare, 'ready')
      for (const { path, status, body } of found) {
        const enough = Math.min(mostRequests, mostBytes / Buffer.byteLength(body, 'base64'))
        const requests = Math.ceil(quick ? enough / 5 : enough)
        const ask = (port: number) => () =>
          generator.ask<Answered>({ port, path, status, connections, requests } satisfies Load)
        await ask(port)()
        await ask(barePort)()
        measurements.push(
          ...compare(`\`${path}\`, ${stacks(size)}`, await interleave(rounds, ask(port), ask(barePort))),
        )
      }
      await Promise.all([service.close(), bare.close()])
    }
    await generator.close()
    return measurements
  },
}

function compare(
  at: string,
  { ours, floor }: { readonly ours: readonly Answered[]; readonly floor: readonly Answered[] },
): Measurement[] {
  const each = (of: (answered: Answered) => number) => ({ ours: ours.map(of), floor: floor.map(of) })
  const [throughput, p99] = [each(({ requestsPerSecond }) => requestsPerSecond), each(({ p99Ms }) => p99Ms)]
  return [
    { at, unit: '/s', ...throughput, wanted: { kind: 'at least', ratio: 0.9 } },
    { at: `${at}, 99th percentile latency`, unit: 'ms', ...p99, wanted: { kind: 'at most', ratio: 1.11 } },
  ]
}

async function portOf(child: Child, message: string): Promise<number> {
  return (await child.logged(message)).port as number
}

/** Headers that Fastify sets itself. */
const everyAnswers = ['connection', 'keep-alive', 'date', 'content-length', 'transfer-encoding']

async function fetchAnswer(port: number, path: string) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { 'accept-encoding': 'identity' } })
  const headers = Object.fromEntries([...response.headers].filter(([name]) => !everyAnswers.includes(name)))
  return { path, status: response.status, headers, body: Buffer.from(await response.arrayBuffer()).toString('base64') }
}
