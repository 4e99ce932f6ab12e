// `driftwatch serve` from the built files: configuration, log and service. Its work is an extra cycle.
import { systemClock } from '../../dist/clock.js'
import { createLog } from '../../dist/cloud-log.js'
import { readEnvironment } from '../../dist/config/environment.js'
import { loadConfig } from '../../dist/config/load.js'
import { startServer } from '../../dist/server.js'

const environment = readEnvironment()
const server = await startServer({
  config: loadConfig({ file: environment.configFile, environment }),
  environment,
  clock: systemClock,
  log: createLog({ level: environment.logLevel, clock: systemClock }),
  nodeVersion: process.version,
})
globalThis.benchWork = () => server.refresh()
