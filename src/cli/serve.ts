import { once } from 'node:events'
import type { PolicyReconciler } from '../alerts/policies/policy-reconciler.ts'
import type { Clock } from '../clock.ts'
import { createLog } from '../cloud-log.ts'
import type { Config } from '../config/config.ts'
import { createConfigSource } from '../config/config-source.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import type { Log } from '../log.ts'
import { startServer } from '../server.ts'
import { type Command, single } from './command.ts'

/** Cloud Run kills a process ten seconds after SIGTERM. */
const shutdownTimeoutMs = 7000

export const serve: Command = {
  help: `Usage
  driftwatch serve [--config FILE]

What does it do?
  It runs the checks on the configured schedule and serves the results:
    GET /drift           the report as JSON, or as text with ?format=text
    GET /drift/gate      the same report; status 200 if no check is drifted or unknown, otherwise 503
    GET /metrics         metrics in Prometheus format
    GET /health/ready    status 200 after the first cycle
    GET /docs            the API documentation

Where does it listen?
  On port $PORT (default 8080) of the configured \`host\` (default 0.0.0.0). On SIGTERM or SIGINT it completes the
  requests in progress and exits.

How do I change the configuration?
  It reloads the file when the file changes, and on SIGHUP. An invalid configuration is rejected and the previous one
  stays in effect.

What does it log?
  JSON lines on stderr in the format of Cloud Logging. $LOG_LEVEL sets the level (default info).
`,
  options: {},
  async run(values, io) {
    const environment = readEnvironment(io.variables, single(values, 'config'))
    const log = createLog({ level: environment.logLevel, clock: io.clock })
    const source = createConfigSource({
      file: environment.configFile,
      environment,
      clock: io.clock,
      onRead: () => service.configRead(source.current(), source.state()),
      log,
    })
    const config = source.current()
    for (const { name, notes } of config.stacks)
      for (const note of notes) log.info({ stack: name, note }, 'configuration note')
    const service = await startServer({
      config,
      environment,
      clock: io.clock,
      log,
      nodeVersion: io.nodeVersion,
      managePolicies: await loadPolicyManager(config, environment),
    })
    const stops = [source.follow(), io.onHangup?.(source.reload)]
    if (!io.signal.aborted) await once(io.signal, 'abort')
    for (const stop of stops) stop?.()
    log.info('shutting down')
    await closeWithin(shutdownTimeoutMs, service.close(), io.clock, log)
    return 0
  },
}

/** The code that writes alert policies is loaded only with `alerts.policies: manage`; otherwise `serve` is read-only. */
async function loadPolicyManager(
  config: Config,
  { monitoringEmulatorHost }: Environment,
): Promise<PolicyReconciler | null> {
  if (config.alerts.policies !== 'manage') return null
  const { createPolicyManager } = await import('../operate/alerts/manage-policies.ts')
  return createPolicyManager({ emulatorHost: monitoringEmulatorHost })
}

/** Waits until the service has closed, at most `timeoutMs`. */
async function closeWithin(timeoutMs: number, closed: Promise<void>, clock: Clock, log: Log): Promise<void> {
  const done = new AbortController()
  const late = clock.sleep(timeoutMs, done.signal).then(
    () => log.error({ timeoutMs }, 'shutdown timed out; closing remaining connections'),
    () => {},
  )
  await Promise.race([closed, late]).finally(() => done.abort())
}
