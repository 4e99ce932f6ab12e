import { type Child, startChild } from '../child.ts'
import { interleave, type Measurement, type Row, stacks } from '../row.ts'

export const metrics: Row = {
  name: 'metrics',
  title: 'CPU of a scrape of `/metrics` right after a cycle',
  floor: 'prom-client rendering the same series',
  quick: true,
  async measure({ rounds, sizes, fleet }) {
    const measurements: Measurement[] = []
    for (const size of sizes(1, 100, 1000)) {
      const service = await (await fleet(size)).serve()
      const scrapeOurs = await scraper(service, 'listening')
      const bare = startChild({ file: 'bench/processes/prom-client.js' })
      bare.tell({ text: await scrapeOurs() })
      const scrapeBare = await scraper(bare, 'ready')
      await scrapeBare()
      const { ours, floor } = await interleave(
        rounds,
        async () => {
          await service.work(1)
          return service.during(scrapeOurs)
        },
        () => bare.during(scrapeBare),
      )
      measurements.push(
        {
          at: stacks(size),
          unit: 'ms',
          ours: ours.map(({ cpuMs }) => cpuMs),
          floor: floor.map(({ cpuMs }) => cpuMs),
          wanted: { kind: 'at most', ratio: 0.1 },
        },
        {
          at: `${stacks(size)}, the longest that its event loop stood`,
          unit: 'ms',
          ours: ours.map(({ longestBlockMs }) => longestBlockMs),
          floor: floor.map(({ longestBlockMs }) => longestBlockMs),
          wanted: { kind: 'below', value: 10 },
        },
      )
      await Promise.all([service.close(), bare.close()])
    }
    return measurements
  },
}

async function scraper(child: Child, message: string): Promise<() => Promise<string>> {
  const { port } = await child.logged(message)
  // Compression would be compared with none.
  const headers = { 'accept-encoding': 'identity' }
  return async () => (await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).text()
}
