import { interleave, type Row } from '../row.ts'
import { runProcess, startToReady } from '../whole-process.ts'

export const start: Row = {
  name: 'start',
  title: '`driftwatch serve`, from start until ready',
  floor: 'the same script, until it exits',
  quick: true,
  async measure({ rounds, fleet }) {
    const { config, env } = await fleet(1)
    const driftwatch = () => startToReady(config, env)
    const script = async () => (await runProcess(['bench/processes/bare-check.js'], env)).wallMs
    await driftwatch()
    await script()
    const compared = await interleave(rounds, driftwatch, script)
    return [{ at: 'wall time', unit: 'ms', ...compared, wanted: { kind: 'at most', ratio: 1.4 } }]
  },
}
