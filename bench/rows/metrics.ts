import { type Child, startChild, type Used } from '../child.ts'
import { interleave, type Measurement, type Row, stacks } from '../row.ts'

/** In smaller fleets most of the response are process metrics, which prom-client renders for both. */
const size = 1000

export const metrics: Row = {
  name: 'metrics',
  title: 'CPU of a scrape of `/metrics`, with a cycle before each',
  floor: 'prom-client rendering the same series',
  quick: true,
  async measure({ rounds, quick, fleet }): Promise<readonly Measurement[]> {
    const times = quick ? 3 : 10
    const service = await (await fleet(size)).serve()
    const scrapeService = await scraper(service, 'listening')
    const bare = startChild({ file: 'bench/processes/prom-client.js' })
    bare.send({ text: await scrapeService() })
    const scrapeBare = await scraper(bare, 'ready')
    const ours = () =>
      repeat(times, async () => {
        await service.work(1)
        return service.during(scrapeService)
      })
    const floor = () => repeat(times, () => bare.during(scrapeBare))
    // Warms up both, like a service that has run for a while.
    await Promise.all([ours(), floor()])
    const scrapes = await interleave(rounds, ours, floor)
    await Promise.all([service.close(), bare.close()])
    const each = (of: (used: Used) => number) => ({ ours: scrapes.ours.map(of), floor: scrapes.floor.map(of) })
    return [
      { at: stacks(size), unit: 'ms', ...each(({ cpuMs }) => cpuMs), wanted: { kind: 'at most', ratio: 0.1 } },
      {
        at: `${stacks(size)}, longest event loop block`,
        unit: 'ms',
        ...each(({ longestBlockMs }) => longestBlockMs),
        wanted: { kind: 'below', value: 10 },
      },
    ]
  },
}

/** The average CPU of one scrape, and the longest delay of the event loop. */
async function repeat(times: number, use: () => Promise<Used>): Promise<Used> {
  const all: Used[] = []
  while (all.length < times) all.push(await use())
  const mean = (of: (used: Used) => number) => all.reduce((sum, used) => sum + of(used), 0) / times
  return {
    wallMs: mean(({ wallMs }) => wallMs),
    cpuMs: mean(({ cpuMs }) => cpuMs),
    rss: Math.max(...all.map(({ rss }) => rss)),
    longestBlockMs: Math.max(...all.map(({ longestBlockMs }) => longestBlockMs)),
  }
}

async function scraper(child: Child, message: string): Promise<() => Promise<string>> {
  const { port } = await child.logged(message)
  // Without compression, which the floor does not have.
  const headers = { 'accept-encoding': 'identity' }
  return async () => (await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).text()
}
