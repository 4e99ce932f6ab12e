import { type Measurement, type Row, stacks } from '../row.ts'

export const cpu: Row = {
  name: 'cpu',
  title: 'CPU of a steady cycle',
  floor: "Google's clients listing the same pages",
  quick: true,
  async measure({ sizes, steady }) {
    const measurements: Measurement[] = []
    for (const size of sizes(1, 10, 100, 1000)) {
      const { cpuMs } = await steady(size)
      measurements.push({ at: stacks(size), unit: 'ms', ...cpuMs, wanted: { kind: 'at most', ratio: 1.5 } })
    }
    return measurements
  },
}
