import { once } from 'node:events'
import type { PolicyReconciler } from '../alerts/policies/policy-reconciler.ts'
import type { Clock } from '../clock.ts'
import { createLog } from '../cloud-log.ts'
import type { Config } from '../config/config.ts'
import { createConfigSource } from '../config/config-source.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { formatDuration } from '../duration.ts'
import type { Log } from '../log.ts'
import { startServer } from '../server.ts'
import { type Command, single } from './command.ts'

/** Cloud Run ends a process ten seconds after it asked it to end. */
const longestEndMs = 7000

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

How does it get another config?
  It reads the file again when that has changed, and on a signal HUP. A broken one is refused, and what was, stays.

What does it log?
  Lines of JSON on stderr, as Cloud Logging takes them; $LOG_LEVEL (info) says how many.
`,
  options: {},
  async run(values, io) {
    const environment = readEnvironment(io.variables)
    const log = createLog({ level: environment.logLevel, clock: io.clock })
    const source = createConfigSource({
      file: single(values, 'config') ?? environment.configFile,
      environment,
      clock: io.clock,
      onRead: () => service.configRead(source.current(), source.state()),
      log,
    })
    const config = source.current()
    for (const { name, notes } of config.stacks)
      for (const note of notes) log.info({ stack: name, note }, 'note on the config')
    const service = await startServer({
      config,
      environment,
      clock: io.clock,
      log,
      nodeVersion: io.nodeVersion,
      keepPolicies: await loadKeeper(config, environment),
    })
    const stops = [source.follow(), io.onHangup?.(source.reload)]
    if (!io.signal.aborted) await once(io.signal, 'abort')
    for (const stop of stops) stop?.()
    log.info('ending')
    await inTime(service.close(), io.clock, log)
    return 0
  },
}

/** What writes alert policies is loaded only where the config says `manage`, and handed in: `serve` writes nothing else. */
async function loadKeeper(config: Config, { monitoringEmulatorHost }: Environment): Promise<PolicyReconciler | null> {
  if (config.alerts.policies !== 'manage') return null
  const { createPolicyKeeper } = await import('../operate/alerts/manage-policies.ts')
  return createPolicyKeeper({ emulatorHost: monitoringEmulatorHost })
}

/** Waits for the end, but not for ever, whatever a peer does or leaves undone. */
async function inTime(closed: Promise<void>, clock: Clock, log: Log): Promise<void> {
  const done = new AbortController()
  const late = clock.sleep(longestEndMs, done.signal).then(
    () => log.error(`not everything was given back within ${formatDuration(longestEndMs)}: it is left to its peers`),
    () => {},
  )
  await Promise.race([closed, late]).finally(() => done.abort())
}
