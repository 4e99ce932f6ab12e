import { parseArgs } from 'node:util'
import { type Control, startControl } from './control.ts'
import { readableLogLine, withoutRepeats } from './log-lines.ts'
import { readableIncident } from './monitoring/readable-incident.ts'
import { type Sandbox, startSandbox } from './sandbox.ts'

const help = `Usage
  npm run sandbox

What does it do?
  It starts emulators of Google's APIs, a PostgreSQL and the real service, which watches the stack of the runbook, and
  says what to try. Ctrl-C ends it all.

Which variables does it take?
  PORT                    of the service (8080)
  LOG_LEVEL               of the service (warn)
  DRIFTWATCH_SANDBOX_PG   a superuser's URL of a PostgreSQL that runs already, in place of one of its own
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

/** The emulators, a PostgreSQL and the real service, until Ctrl-C. */
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
    control = await startControl(running.url, async name => {
      log.forget()
      const { description } = await running.inject(name)
      console.log(`\nscenario ${name}: ${description}`)
    })
    console.log(whatToTry(running))
    const end = await Promise.race([running.service.ended, aborted(stop)])
    if (end !== null) throw new Error(`The sandbox stops, since ${end}.`)
    console.log('\nStopping ...')
  } catch (error) {
    if (!stop.aborted) throw error
  } finally {
    await control?.close()
    await sandbox?.close()
  }
}

/** Aborts when somebody wants this to end. */
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
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`PORT is ${text}: expected 0 to 65535`)
  return port
}

function whatToTry({ url, env, postgres }: Sandbox): string {
  const address = url.replace('127.0.0.1', 'localhost')
  const { port } = new URL(url)
  const elsewhere = port === '8080' ? {} : { PORT: port }
  const scenario = `${elsewhere.PORT ? `PORT=${port} ` : ''}npm run scenario`
  const variables = Object.entries({ ...elsewhere, ...env }).map(([name, value]) => `${name}='${value}'`)
  return `
Driftwatch watches the stack of the runbook. In another terminal:

  curl '${address}/drift?format=text'
  curl '${address}/drift'
  curl -s -o /dev/null -w '%{http_code}\\n' ${address}/drift/gate
  curl ${address}/metrics

Let something happen to it, and look again:

  ${scenario}                          lists what can happen
  ${scenario} -- job-left-behind       the incident
  ${scenario} -- grant-to-public       a right in the database that nobody should have
  ${scenario} -- healthy

The gate of a pipeline is one command, here against the emulators:

  export ${variables.join(' ')}
  npm run driftwatch -- check --config sandbox/driftwatch.yaml

Driftwatch's own login may connect to the database, and nothing else. What drifted there is mended by an operator:

  export DB_ADMIN_URL='${postgres.adminUrl}'
  npm run driftwatch -- grants plan --config sandbox/driftwatch.yaml
  npm run driftwatch -- grants apply --config sandbox/driftwatch.yaml

Cloud Monitoring is emulated too. Leave a scenario for two minutes, and it pages somebody: here you see incidents open
and close. What it watches, and what it lacks:

  npm run driftwatch -- alerts plan --config sandbox/driftwatch.yaml

Ctrl-C ends it all.
`
}

await main(process.argv.slice(2))
