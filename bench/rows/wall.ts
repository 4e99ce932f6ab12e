import { interleave, type Measurement, type Row, stacks } from '../row.ts'

const latencyMs = 50

export const wall: Row = {
  name: 'wall',
  title: `wall time of a steady cycle, with API calls of ${latencyMs} ms`,
  floor: 'the longest chain of dependent calls',
  quick: true,
  async measure({ rounds, sizes, fleet }) {
    const measurements: Measurement[] = []
    for (const size of sizes(1, 10, 100, 1000)) {
      const { serve, list } = await fleet(size, latencyMs)
      const [service, chain] = [await serve(), await list('--chain')]
      const times = size > 100 ? 2 : 10
      await service.work(times)
      await chain.work(times)
      const { ours, floor } = await interleave(
        rounds,
        () => service.work(times),
        () => chain.work(times),
      )
      await Promise.all([service.close(), chain.close()])
      measurements.push({
        at: stacks(size),
        unit: 'ms',
        ours: ours.map(({ wallMs }) => wallMs / times),
        floor: floor.map(({ wallMs }) => wallMs / times),
        wanted: { kind: 'at most', ratio: 1.3 },
      })
    }
    return measurements
  },
}
