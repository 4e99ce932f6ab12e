import { type Measurement, type Row, stacks } from '../row.ts'

export const memory: Row = {
  name: 'memory',
  title: 'resident memory, after every fifth of the cycles',
  floor: 'a process with the same clients, after the same reads',
  quick: true,
  async measure({ sizes, steady }) {
    const measurements: Measurement[] = []
    for (const size of sizes(1, 10, 100, 1000)) {
      const { rss, cycles } = await steady(size)
      const at = `${stacks(size)}, ${cycles.toLocaleString('en')} cycles`
      measurements.push({ at, unit: 'MiB', ...rss, wanted: { kind: 'at most', ratio: size > 100 ? 1.6 : 1.3 } })
    }
    return measurements
  },
}
