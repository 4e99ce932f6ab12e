/** Writes the examples in the docs from scenarios of the sandbox. Part of `npm run docs`. */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { startCloudRun } from '../sandbox/cloud-run.ts'
import { startContract } from '../sandbox/contract.ts'
import { startMonitoring } from '../sandbox/monitoring.ts'
import { type Postgres, startPostgres } from '../sandbox/postgres.ts'
import { startRegistry } from '../sandbox/registry.ts'
import { isScenarioName, readScenario, type ScenarioName } from '../sandbox/scenarios.ts'
import { loadWorld } from '../sandbox/world.ts'
import { type Clock, systemClock } from '../src/clock.ts'
import { createLog } from '../src/cloud-log.ts'
import { readEnvironment } from '../src/config/environment.ts'
import { parseConfig } from '../src/config/load.ts'
import { buildReport, type Report } from '../src/report/report.ts'
import { renderText } from '../src/report/text.ts'
import { createWatch } from '../src/watch.ts'

const top = new URL('../', import.meta.url)
const now = Date.UTC(2026, 10, 23, 3)

/** The time is fixed, so that examples change only with Driftwatch's output. */
const clock: Clock = { ...systemClock, now: () => now, monotonic: () => 0 }

/** `<!-- example: WHAT SCENARIO -->` and the fenced block after it. WHAT is `drift` or the name of a check. */
const marked = /(<!-- example: (\S+) (\S+) -->\n```\w*\n)[\s\S]*?(```)/g

/** The expected text of every page with examples, by path. */
export async function pagesWithExamples(): Promise<ReadonlyMap<string, string>> {
  const pages = new Map<string, string>()
  const postgres = await startPostgres()
  try {
    for (const path of ['README.md', ...globSync('docs/**/*.md', { cwd: top })]) {
      const text = readFileSync(new URL(path, top), 'utf8')
      if (text.search(marked) >= 0) pages.set(path, await withExamples(text, postgres))
    }
  } finally {
    await postgres.close()
  }
  return pages
}

async function withExamples(page: string, postgres: Postgres): Promise<string> {
  const blocks: string[] = []
  for (const [, head, what = '', scenario = '', end] of page.matchAll(marked)) {
    if (!isScenarioName(scenario)) throw new Error(`example of an unknown scenario: ${scenario}`)
    blocks.push(`${head}${exampleOf(what, await reportIn(scenario, postgres))}${end}`)
  }
  return page.replaceAll(marked, () => blocks.shift() ?? '')
}

function exampleOf(what: string, report: Report): string {
  if (what === 'drift') return renderText(report, { color: false })
  const check = report.stacks.flatMap(({ checks }) => checks).find(each => each.check === what)
  if (!check) throw new Error(`example of an unknown check: ${what}`)
  return `${JSON.stringify(check, null, 2)}\n`
}

/** The report after the first cycle in a scenario. */
async function reportIn(name: ScenarioName, postgres: Postgres): Promise<Report> {
  const scenario = readScenario(name)
  const world = loadWorld(scenario.patch, now)
  await postgres.reset({ sql: scenario.sql, down: scenario.databaseDown })
  const [cloudRun, registry, monitoring, contract] = await Promise.all([
    startCloudRun({ world }),
    startRegistry({ world: world.registry }),
    startMonitoring({ telemetry: world.telemetry, now: () => now }),
    startContract({ world: world.http }),
  ])
  const file = 'sandbox/driftwatch.yaml'
  const watch = createWatch({
    config: parseConfig(readFileSync(new URL(file, top), 'utf8'), file, {
      SANDBOX_TIMEOUT: '20s',
      RUNTIME_BASE_URL: contract.url,
      DB_URL: postgres.url,
      SANDBOX_SUPERUSER: postgres.superuser,
    }),
    environment: readEnvironment({
      CLOUD_RUN_EMULATOR_HOST: cloudRun.host,
      ARTIFACT_REGISTRY_EMULATOR_HOST: registry.host,
      MONITORING_EMULATOR_HOST: monitoring.host,
    }),
    clock,
    log: createLog({ level: 'silent', clock }),
  })
  try {
    await watch.runCycle()
    // The port differs in each run.
    const report = JSON.stringify(buildReport(watch.store.snapshot(now)))
    return JSON.parse(report.replaceAll(contract.url, 'https://runtime-rri5nwu7ya-uc.a.run.app'))
  } finally {
    await watch.close()
    await Promise.all([cloudRun, registry, monitoring, contract].map(each => each.close()))
  }
}

if (import.meta.main) {
  for (const [path, text] of await pagesWithExamples()) writeFileSync(new URL(path, top), text)
}
