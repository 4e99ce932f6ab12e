import type { Child } from '../child.ts'
import { type Measurement, type Row, stacks } from '../row.ts'

/** The cycles of `verifyEvery`: ten minutes, by a schedule of thirty seconds. */
const cyclesPerWindow = 20
const verifyEveryMs = 600_000
const neverMs = 366 * 86_400_000

/** The time that both processes need until their code is compiled. */
const warmUpCycles = 2 * cyclesPerWindow

export const verify: Row = {
  name: 'verify',
  title: 'CPU of `verifyEvery: 10m`, for each cycle',
  floor: 'the first cycle of the process, divided by the 20 cycles of 10 minutes',
  quick: true,
  async measure({ rounds, sizes, fleet }) {
    const measurements: Measurement[] = []
    for (const size of sizes(1, 10, 100, 1000)) {
      const { verifying } = await fleet(size)
      const [ours, floor]: [number[], number[]] = [[], []]
      for (let round = 0; round < rounds; round += 1) {
        const [on, off] = [await verifying(verifyEveryMs), await verifying(neverMs)]
        const first = await cpuOfCycle(on, 1)
        floor.push(first / cyclesPerWindow)
        await cpuOfCycle(off, 1)
        ours.push(await extraCpu(on, off))
        await Promise.all([on.close(), off.close()])
      }
      measurements.push({ at: stacks(size), unit: 'ms', ours, floor, wanted: { kind: 'at most', ratio: 1.2 } })
    }
    return measurements
  },
}

/** The mean difference of a cycle, over one window. */
async function extraCpu(on: Child, off: Child): Promise<number> {
  await cpuOfCycle(on, warmUpCycles)
  await cpuOfCycle(off, warmUpCycles)
  return (await cpuOfCycle(on, cyclesPerWindow)) - (await cpuOfCycle(off, cyclesPerWindow))
}

async function cpuOfCycle(child: Child, cycles: number): Promise<number> {
  const { cpuMs } = await child.work(cycles)
  return cpuMs / cycles
}
