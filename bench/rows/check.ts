import { interleave, type Row } from '../row.ts'
import { runProcess, type WholeProcess } from '../whole-process.ts'

export const check: Row = {
  name: 'check',
  title: '`driftwatch check`, the whole process',
  floor: 'a script that loads the clients, makes the same reads and prints the result',
  quick: true,
  async measure({ rounds, fleet }) {
    const { config, env } = await fleet(1)
    const driftwatch = () => runProcess(['dist/main.js', 'check', '--config', config], env)
    const script = () => runProcess(['bench/processes/bare-check.js'], env)
    await driftwatch()
    await script()
    const { ours, floor } = await interleave(rounds, driftwatch, script)
    const compared = (at: string, of: (used: WholeProcess) => number) =>
      ({ at, unit: 'ms', ours: ours.map(of), floor: floor.map(of), wanted: { kind: 'at most', ratio: 1.25 } }) as const
    return [compared('wall time', ({ wallMs }) => wallMs), compared('CPU', ({ cpuMs }) => cpuMs)]
  },
}
