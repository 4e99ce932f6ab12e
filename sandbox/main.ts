import { parseArgs } from 'node:util'
import { type Control, startControl } from './control.ts'
import { readableLogLine, withoutRepeats } from './log-lines.ts'
import { readableIncident } from './monitoring/readable-incident.ts'
import { nextCycle } from './next-cycle.ts'
import { type Sandbox, startSandbox } from './sandbox.ts'
import type { ScenarioName } from './scenarios.ts'

const help = `Usage
  npm run sandbox

What does it do?
  It starts emulators of Google's APIs, a PostgreSQL server and the real service, which monitors an example stack. Then
  it prints commands to try. Press Ctrl-C to stop everything.

Which variables does it read?
  PORT                    port of the service (default 8080)
  LOG_LEVEL               log level of the service (default warn)
  DRIFTWATCH_SANDBOX_PG   superuser URL of an existing PostgreSQL server to use instead of starting one
`

async function main(args: readonly string[]): Promise<void> {
  try {
    const { values } = parseArgs({ args: [...args], options: { help: { type: 'boolean', short: 'h' } } })
    if (values.help) console.log(help)
    else await runSandbox()
  } catch (error) {
    console.error((error as Error).message)
    process.exitCode = 1
  }
}

/** Runs the emulators, PostgreSQL and the real service until Ctrl-C. */
async function runSandbox(): Promise<void> {
  const { PORT = '8080', LOG_LEVEL = 'warn', DRIFTWATCH_SANDBOX_PG } = process.env
  const stop = stopSignal()
  const log = withoutRepeats(line => console.log(readableLogLine(line)))
  let sandbox: Sandbox | undefined
  let control: Control | undefined
  try {
    console.log('Starting the emulators, PostgreSQL and the service ...')
    const running = await startSandbox({
      port: portOf(PORT),
      logLevel: LOG_LEVEL,
      postgresServer: DRIFTWATCH_SANDBOX_PG || undefined,
      onProgress: console.log,
      onLog: log.take,
      onIncident: incident => console.log(readableIncident(incident)),
      signal: stop,
    })
    sandbox = running
    let current: ScenarioName = 'healthy'
    control = await startControl(running.url, async name => {
      log.forget()
      // The service remembers earlier drift, so that a scenario begins after a healthy cycle.
      if (current !== 'healthy' && name !== 'healthy') {
        await running.inject('healthy')
        await nextCycle(running.url, stop)
      }
      current = name
      const { description } = await running.inject(name)
      console.log(`\nScenario ${name}: ${description}.`)
      await nextCycle(running.url, stop)
    })
    console.log(whatToTry(running))
    const end = await Promise.race([running.service.ended, aborted(stop)])
    if (end !== null) throw new Error(`Stopping the sandbox: ${end}.`)
    console.log('\nStopping ...')
  } catch (error) {
    if (!stop.aborted) throw error
  } finally {
    await control?.close()
    await sandbox?.close()
  }
}

/** Aborts on a signal to end the process. */
function stopSignal(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => controller.abort())
  return controller.signal
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise(resolve => {
    if (signal.aborted) resolve(null)
    else signal.addEventListener('abort', () => resolve(null), { once: true })
  })
}

function portOf(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`invalid PORT "${text}": expected a number from 0 to 65535`)
  return port
}

function whatToTry({ url, env, postgres }: Sandbox): string {
  const address = url.replace('127.0.0.1', 'localhost')
  const { port } = new URL(url)
  const elsewhere = port === '8080' ? {} : { PORT: port }
  const scenario = `${elsewhere.PORT ? `PORT=${port} ` : ''}npm run scenario`
  const variables = Object.entries({ ...elsewhere, ...env }).map(([name, value]) => `${name}='${value}'`)
  return `
Driftwatch monitors the example stack. Try in another terminal:

  curl '${address}/drift?format=text'
  curl '${address}/drift'
  curl -s -o /dev/null -w '%{http_code}\\n' ${address}/drift/gate
  curl ${address}/metrics

Inject a scenario, and run the commands again:

  ${scenario}                          list all scenarios
  ${scenario} -- job-left-behind       the original incident: an outdated image migrated
  ${scenario} -- grant-to-public       everyone may read a database table
  ${scenario} -- healthy               back to the healthy stack

Run commands against the emulators, such as the check of a deployment pipeline:

  export ${variables.join(' ')}
  driftwatch() { npm run --silent driftwatch -- "$@"; }
  driftwatch check --config sandbox/driftwatch.yaml

A printed fix that begins with driftwatch can be pasted there. Do not paste one that begins with gcloud: it would change
the real Google Cloud, not the emulators. To undo such a drift, inject healthy.

Driftwatch's own database role has only the CONNECT privilege. An operator fixes the grants:

  export DB_ADMIN_URL='${postgres.adminUrl}'
  driftwatch grants plan --config sandbox/driftwatch.yaml
  driftwatch grants apply --config sandbox/driftwatch.yaml

Cloud Monitoring is emulated too. Two minutes after a scenario it opens an incident, which is printed here. Compare its
alert policies with the configuration:

  driftwatch alerts plan --config sandbox/driftwatch.yaml

Press Ctrl-C to stop everything.
`
}

await main(process.argv.slice(2))
