import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts'
import {
  readScenario,
  type Scenario,
  type ScenarioName,
  type ScenarioStatus,
  scenarioNames,
} from '../../sandbox/scenarios.ts'
import type { Report, ReportedCheck } from '../../src/report/report.ts'
import { complaintsOfGcloud, gcloudCommands, noGcloud } from '../helpers/gcloud.ts'

/** The real service over real sockets, with a cycle every second; observations are stale after five seconds. */
const timeSlices = { schedule: '* * * * * *', timeout: '3s', staleAfter: '5s' }
const checkEnv = {
  SANDBOX_SCHEDULE: timeSlices.schedule,
  // A long limit: two sandboxes and their services run at the same time.
  SANDBOX_TIMEOUT: '8s',
  SANDBOX_STALE_AFTER: '1m',
}

async function report(sandbox: Sandbox): Promise<Report> {
  return (await (await fetch(`${sandbox.url}/drift`)).json()) as Report
}

/** Requests reports until one is as expected. The timeout of the test is the limit. */
async function reportWhere(sandbox: Sandbox, wanted: (report: Report) => boolean): Promise<Report> {
  for (;;) {
    const current = await report(sandbox)
    if (wanted(current)) return current
    await delay(40)
  }
}

/** The report of the first cycle that began after the injection. */
async function injectAndLook(t: Test, sandbox: Sandbox, scenario: Scenario): Promise<Report> {
  await sandbox.inject(scenario.name)
  const injectedAt = Date.now()
  let before = 0
  const after = await reportWhere(sandbox, ({ cycle }) => {
    if (cycle !== null && Date.parse(cycle.startedAt) > injectedAt) return true
    before = cycle?.id ?? 0
    return false
  })
  t.equal(after.cycle?.id, before + 1, `${scenario.name}: this is the first cycle after the injection`)
  return after
}

function checksOf(report: Report): readonly ReportedCheck[] {
  return report.stacks.flatMap(({ checks }) => checks)
}

function statusesOf(report: Report): Record<string, string> {
  return Object.fromEntries(checksOf(report).map(({ check, status }) => [check, status]))
}

/** The current status of each check in the state set. */
async function metricStatuses(sandbox: Sandbox): Promise<Record<string, string>> {
  const metrics = await (await fetch(`${sandbox.url}/metrics`)).text()
  const series = metrics.matchAll(/^driftwatch_check_status\{stack="runtime",check="([^"]+)",status="([^"]+)"\} 1$/gm)
  return Object.fromEntries([...series].map(([, check, status]) => [check, status]))
}

async function gateCode(sandbox: Sandbox): Promise<number> {
  const response = await fetch(`${sandbox.url}/drift/gate`)
  await response.body?.cancel()
  return response.status
}

/** `driftwatch check` as a pipeline runs it. */
async function runCheck(sandbox: Sandbox): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['src/main.ts', 'check', '--config', 'sandbox/driftwatch.yaml'], {
    env: { ...process.env, ...sandbox.env, ...checkEnv },
  })
  const exited = once(child, 'close') as Promise<[number]>
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exited])
  return { code, stdout, stderr }
}

const worstFirst = ['drifted', 'unknown', 'pending', 'in_sync'] as const
const exitCodes = { in_sync: 0, unknown: 1, drifted: 2, pending: 3 }
const gateCodes = { in_sync: 200, pending: 200, drifted: 503, unknown: 503 }

function worstOf({ expect }: Scenario): ScenarioStatus {
  return worstFirst.find(status => Object.values(expect).includes(status)) ?? 'in_sync'
}

/** Half of the scenarios each: two complete sandboxes fit onto two cores. */
const lanes = [0, 1].map(lane => scenarioNames.filter((_, index) => index % 2 === lane))

t.jobs = lanes.length
for (const names of lanes) {
  t.test(`each scenario appears within one cycle, and all outputs agree: ${names.join(', ')}`, { buffered: true }, t =>
    testScenarios(t, names),
  )
}

async function testScenarios(t: Test, names: readonly ScenarioName[]): Promise<void> {
  const sandbox = await startSandbox({ port: 0, ...timeSlices })
  t.teardown(() => sandbox.close())
  const healthy = readScenario('healthy')
  const checkedFor = new Set<ScenarioStatus>()
  const remedies: (string | null)[] = []
  for (const name of names) {
    await t.test(name, async t => {
      const scenario = readScenario(name)
      const worst = worstOf(scenario)
      const first = await injectAndLook(t, sandbox, scenario)
      // Processes are slow: one for each exit code, and one wherever a first probe gives another result.
      const isChecked = scenario.kept || !checkedFor.has(worst)
      checkedFor.add(worst)
      const checking = isChecked ? runCheck(sandbox) : null
      if (scenario.kept) await testKept(t, sandbox, scenario, first)
      const seen = scenario.kept ? await untilUnknown(t, sandbox, scenario) : first
      t.strictSame(statusesOf(seen), scenario.expect, 'in /drift')
      t.equal(seen.status, worst)
      for (const { check, status, error } of checksOf(seen)) {
        const young = check === 'after-rollout' && status === 'pending' ? 'TOO_SOON' : null
        t.equal(error?.code ?? null, status === 'unknown' ? scenario.error : young, `${check} has an error`)
      }
      for (const { status, fix, advice } of checksOf(seen)) {
        remedies.push(fix, advice)
        t.equal(fix !== null || advice !== null, status === 'drifted', 'what drifted has a remedy, and nothing else')
      }
      if (scenario.shows !== null) t.match(JSON.stringify(seen), scenario.shows)
      t.strictSame(await metricStatuses(sandbox), scenario.expect, 'in /metrics')
      t.equal(await gateCode(sandbox), gateCodes[worst], 'in the gate')
      const checked = await checking
      if (checked) {
        t.match(checked, { code: exitCodes[worst], stderr: '' }, 'the exit code of check')
        t.match(checked.stdout, 'migration-execution')
      }
      t.strictSame(statusesOf(await injectAndLook(t, sandbox, healthy)), healthy.expect, 'the drift disappears again')
    })
  }
  await t.test('gcloud accepts every command', { skip: noGcloud }, async t => {
    t.strictSame(await complaintsOfGcloud(gcloudCommands(remedies)), [])
  })
}

/** The checks whose probes fail, which become unknown. */
function failing({ expect }: Scenario, report: Report): readonly ReportedCheck[] {
  return checksOf(report).filter(({ check }) => expect[check] === 'unknown')
}

/** Checks in sync stay in sync, and show the error at once. */
async function testKept(t: Test, sandbox: Sandbox, scenario: Scenario, first: Report): Promise<void> {
  t.strictSame(statusesOf(first), readScenario('healthy').expect, 'a failed probe keeps the statuses')
  t.equal(await gateCode(sandbox), 200)
  for (const { check, error } of failing(scenario, first))
    t.match(error, { code: scenario.error }, `${check} shows the error`)
}

/** Statuses are kept exactly until they are stale. */
function untilUnknown(t: Test, sandbox: Sandbox, scenario: Scenario): Promise<Report> {
  return reportWhere(sandbox, current => {
    const kept = failing(scenario, current).filter(({ status }) => status !== 'unknown')
    const stale = kept.filter(({ staleAt }) => staleAt === null || staleAt <= current.generatedAt)
    t.strictSame(stale, [], 'no status is kept for longer')
    return kept.length === 0
  })
}
