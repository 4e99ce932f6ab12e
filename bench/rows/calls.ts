import { type Measurement, type Row, stacks } from '../row.ts'

/** The page size of Cloud Run. */
const onPage = 100

export const calls: Row = {
  name: 'calls',
  title: 'API calls in a steady cycle',
  floor: 'the pages that the fleet fills, plus 1 for each changed stack',
  quick: true,
  async measure({ rounds, sizes, fleet }) {
    const measurements: Measurement[] = []
    for (const size of sizes(1, 10, 100, 1000)) {
      const { serve, calls, change } = await fleet(size)
      const service = await serve()
      const pages = 2 * Math.ceil(size / onPage)
      for (const changed of size > 1 ? [0, 3] : [0, 1]) {
        const counted: number[] = []
        for (let round = 0; round < rounds; round += 1) {
          if (changed > 0) await change(changed)
          await calls()
          await service.work(1)
          const count = await calls()
          if (count < pages) throw new Error(`${count} calls cannot have read ${pages} pages`)
          counted.push(count)
        }
        measurements.push({
          at: changed === 0 ? stacks(size) : `${stacks(size)}, ${changed} changed`,
          unit: 'calls',
          ours: counted,
          floor: counted.map(() => pages + changed),
          wanted: { kind: 'at most', ratio: 1 },
        })
      }
      await service.close()
    }
    return measurements
  },
}
