// The cycles of `driftwatch serve` from the built files. Its work is one cycle, thirty seconds after the one before.
import { systemClock } from '../../dist/clock.js'
import { readEnvironment } from '../../dist/config/environment.js'
import { loadConfig } from '../../dist/config/load.js'
import { createWatch } from '../../dist/watch.js'

const gapMs = 30_000
let ahead = 0
const clock = {
  ...systemClock,
  now: () => systemClock.now() + ahead,
  monotonic: () => systemClock.monotonic() + ahead,
}
const silent = { debug() {}, info() {}, warn() {}, error: fields => console.error(JSON.stringify(fields)) }
const environment = readEnvironment()
const config = {
  ...loadConfig({ file: environment.configFile, environment }),
  schedule: '*/30 * * * * *',
  verifyEveryMs: Number(process.argv[2]),
}
const watch = createWatch({ config, environment, clock, log: silent })
globalThis.benchWork = async () => {
  ahead += gapMs
  await watch.runCycle()
}
console.error(JSON.stringify({ message: 'ready' }))
