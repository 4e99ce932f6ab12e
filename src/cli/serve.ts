import { once } from 'node:events'
import { readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { createLog } from '../log.ts'
import { startService } from '../service.ts'
import { type Command, single } from './command.ts'

export const serve: Command = {
  help: `Usage
  driftwatch serve [--config FILE]

What does it do?
  It looks by the schedule of the config, and answers what it knows:
    GET /drift           everything, as JSON; as a table with ?format=text
    GET /drift/gate      the same, 200 only when nothing has drifted and nothing is unknown, else 503
    GET /metrics         for Prometheus
    GET /health/ready    once the first cycle is done
    GET /docs            all of it

Where does it listen?
  On $PORT (8080), at the config's host (0.0.0.0). A signal TERM or INT ends it: what is being answered is answered.

What does it log?
  Lines of JSON on stderr, as Cloud Logging takes them; $LOG_LEVEL (info) says how many.
`,
  options: {},
  async run(values, io) {
    const environment = readEnvironment(io.variables)
    const config = loadConfig({ file: single(values, 'config') ?? environment.configFile, environment })
    const log = createLog({ level: environment.logLevel, clock: io.clock })
    for (const { name, notes } of config.stacks)
      for (const note of notes) log.info({ stack: name, note }, 'note on the config')
    const service = await startService({ config, environment, clock: io.clock, log, nodeVersion: io.nodeVersion })
    if (!io.signal.aborted) await once(io.signal, 'abort')
    log.info('ending')
    await service.close()
    return 0
  },
}
