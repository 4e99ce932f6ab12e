import { injectIntoSandbox } from './control.ts'
import { isScenarioName, nearScenarios, readScenario, type Scenario, scenarioNames } from './scenarios.ts'

/** `npm run scenario`: lists the scenarios, or injects one into the sandbox that runs on `PORT`. */
async function main([name, ...more]: readonly string[]): Promise<number> {
  if (name === undefined) return say(list())
  if (more.length > 0) return fail(`Name one scenario, not ${more.length + 1}: npm run scenario -- ${name}`)
  if (!isScenarioName(name)) return fail(unknown(name))
  const { PORT = '8080' } = process.env
  const service = await injectIntoSandbox(name, PORT).catch((error: Error) => error)
  if (service instanceof Error) return fail(`The sandbox could not inject ${name}: ${service.message}`)
  if (service === null)
    return fail(
      `No sandbox is running on port ${PORT}: start one with npm run sandbox, or say its port as in PORT=8081 npm run scenario -- ${name}`,
    )
  return say(injected(readScenario(name), service))
}

function list(): string {
  const width = Math.max(...scenarioNames.map(name => name.length))
  const lines = scenarioNames.map(name => `  ${name.padEnd(width)}  ${readScenario(name).description}`)
  return ['Inject one into the running sandbox with npm run scenario -- NAME', '', ...lines].join('\n')
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
      ? `The error ${error} shows within two cycles; the statuses stay for a minute, and then become:`
      : 'Within one cycle, two seconds:',
    ...checks,
    ...(shows === null ? [] : [`  and the report says "${shows}"`]),
    '',
    `curl '${service}/drift?format=text'`,
  ].join('\n')
}

function unknown(name: string): string {
  const near = nearScenarios(name)
  const hint = near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'npm run scenario lists them.'
  return `There is no scenario ${JSON.stringify(name)}: ${hint}`
}

function say(text: string): number {
  console.log(text)
  return 0
}

function fail(text: string): number {
  console.error(text)
  return 1
}

process.exitCode = await main(process.argv.slice(2))
