import { injectIntoSandbox } from './control.ts'
import { isScenarioName, nearScenarios, readScenario, type Scenario, scenarioNames } from './scenarios.ts'

/** `npm run scenario`: lists the scenarios, or injects one into the sandbox that runs on `PORT`. */
async function main([name, ...more]: readonly string[]): Promise<number> {
  if (name === undefined) return print(list())
  if (more.length > 0) return fail(`Expected one scenario, got ${more.length + 1}. Run: npm run scenario -- ${name}`)
  if (!isScenarioName(name)) return fail(unknown(name))
  const { PORT = '8080' } = process.env
  print(`Injecting ${name}, and waiting for the next cycle ...\n`)
  const service = await injectIntoSandbox(name, PORT).catch((error: Error) => error)
  if (service instanceof Error) return fail(`The sandbox could not inject ${name}: ${service.message}`)
  if (service === null)
    return fail(
      `No sandbox is running on port ${PORT}. Start one with npm run sandbox, or set its port: PORT=8081 npm run scenario -- ${name}`,
    )
  return print(injected(readScenario(name), service))
}

function list(): string {
  const width = Math.max(...scenarioNames.map(name => name.length))
  const lines = scenarioNames.map(name => `  ${name.padEnd(width)}  ${readScenario(name).description}`)
  return ['Inject a scenario into the running sandbox: npm run scenario -- NAME', '', ...lines].join('\n')
}

function injected({ name, description, expect, kept, error, shows }: Scenario, service: string): string {
  const checks = Object.entries(expect).map(([check, status]) => {
    const why = status === 'unknown' && error !== null ? ` (${error})` : ''
    return `  ${check.padEnd(19)}  ${status}${why}`
  })
  return [
    `${name}: ${description}.`,
    '',
    kept
      ? `The report now shows the error ${error}. After a minute, when the observations are stale:`
      : 'The report now shows:',
    ...checks,
    ...(shows === null ? [] : [`  "${shows}"`]),
    '',
    `curl '${service}/drift?format=text'`,
  ].join('\n')
}

function unknown(name: string): string {
  const near = nearScenarios(name)
  const hint = near.length > 0 ? `Did you mean ${near.join(' or ')}?` : 'Run npm run scenario to list all scenarios.'
  return `Unknown scenario ${JSON.stringify(name)}. ${hint}`
}

function print(text: string): number {
  console.log(text)
  return 0
}

function fail(text: string): number {
  console.error(text)
  return 1
}

process.exitCode = await main(process.argv.slice(2))
