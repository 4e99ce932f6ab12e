import type { Used } from './child.ts'
import type { Fleet } from './fleet.ts'
import { interleave, type Steady } from './row.ts'

/** Cycles of a round: five rounds are 1,000 cycles, except where that would take too long. */
const cyclesOfRound = (size: number, quick: boolean) => (quick ? 20 : size > 100 ? 30 : 200)

/** Runs cycles of a fleet, alternately with a process that lists the same pages. */
export async function measureSteady(fleet: Fleet, rounds: number, quick: boolean): Promise<Steady> {
  const times = cyclesOfRound(fleet.size, quick)
  const [service, lister] = [await fleet.serve(), await fleet.list()]
  try {
    const { ours, floor } = await interleave(
      rounds,
      () => service.work(times),
      () => lister.work(times),
    )
    const each = (of: (used: Used) => number) => ({ ours: ours.map(of), floor: floor.map(of) })
    return {
      cpuMs: each(({ cpuMs }) => cpuMs / times),
      rss: each(({ rss }) => rss / 2 ** 20),
      cycles: times * rounds,
    }
  } finally {
    await Promise.all([service.close(), lister.close()])
  }
}
