import type { Used } from './child.ts'
import type { Fleet } from './fleet.ts'
import { interleave, type Steady } from './row.ts'

/** So many cycles are a round: five of them are 1,000, but where that would take longer than all the rest. */
const cyclesOfRound = (size: number, quick: boolean) => (quick ? 20 : size > 100 ? 30 : 200)

/** Runs a fleet's cycles, and beside them what lists the same pages. */
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
