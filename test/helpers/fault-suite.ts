import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Report } from '../../src/report/report.ts'
import { canaryForms } from './canaries.ts'
import { canaries, type FaultBench, openFaultBench, type StackName, stackNames, staleAfterMs } from './fault-bench.ts'
import { writeFaultTable } from './fault-page.ts'
import { type Break, type FaultedSystem, type FaultRow, faultedSystems, type Outcome, scopes } from './fault-table.ts'
import { until } from './until.ts'

type ReportedCheck = Report['stacks'][number]['checks'][number]

/** Longer than the minimum interval between two publishes. */
const publishGapMs = 11_000

/** gRPC closes unused connections every 10 s. */
const settleMs = 30_000

/** Tests every fault of one system in every scope, on its own bench; prints the table, and writes it to its page. */
export async function testFaults(t: Test, name: FaultedSystem['name']): Promise<void> {
  const system = faultedSystems.find(each => each.name === name) as FaultedSystem
  const context = await openFaultBench(system)
  t.teardown(() => context.close())
  await warmUp(context)
  const [idle, idleResources] = [context.connections(), activeResources()]
  const truth = createTruth(context)
  const outcomes = new Map<string, Outcome>()
  for (const row of system.rows) {
    for (const scope of ['one', 'all'] as const) {
      const fault = row[scope]
      if (typeof fault === 'string') continue
      await t.test(`${row.fault}, ${scope === 'one' ? 'one stack of three' : 'all stacks'}`, async t => {
        const wrong = await meet({ bench: context, truth, system, row, affected: scopes[scope], fault })
        outcomes.set(`${row.fault} ${scope}`, wrong.length === 0 ? 'holds' : 'does not hold')
        t.strictSame(wrong, [])
      })
    }
  }

  t.test('no connection remains', async t => {
    const settleBy = Date.now() + settleMs
    await until(() => context.connections() <= idle || Date.now() > settleBy)
    t.ok(context.connections() <= idle, `${context.connections()} connections, ${idle} without a fault`)
    await until(() => isWithin(activeResources(), idleResources) || Date.now() > settleBy)
    t.ok(isWithin(activeResources(), idleResources), `${JSON.stringify([activeResources(), idleResources])}`)
  })

  t.test('the reports of the faults contain no secret', async t => {
    const told = context.output()
    for (const secret of Object.values(canaries)) for (const form of canaryForms(secret)) t.notOk(told.includes(form))
  })

  t.test('the table', async t => {
    for (const line of writeFaultTable(system, outcomes)) t.comment(line)
  })
}

/** The number of handles, timers and requests of this process by kind, for the service and its test systems together. */
function activeResources(): Readonly<Record<string, number>> {
  const kinds = Map.groupBy(process.getActiveResourcesInfo(), kind => kind)
  return Object.fromEntries([...kinds].map(([kind, all]) => [kind, all.length]))
}

function isWithin(some: Readonly<Record<string, number>>, most: Readonly<Record<string, number>>): boolean {
  return Object.entries(some).every(([kind, count]) => count <= (most[kind] ?? 0))
}

/** Runs cycles until all modules are loaded, the metrics exist and no publish is in progress. */
async function warmUp(context: FaultBench): Promise<void> {
  await until(async () => {
    await context.service.refresh()
    context.clock.advance(publishGapMs)
    const { status, channels } = await context.report()
    return status === 'in_sync' && channels.every(({ publishedAt }) => publishedAt !== null)
  })
  while (await hasPublished(context)) {
    // A publish in progress would be mistaken for the one during the first fault.
  }
  const withExistingSettings = await context.report()
  await context.service.refresh()
  await published(context, withExistingSettings, 0)
}

/** Whether anything is published without a cycle, in more than the minimum interval between two publishes. */
async function hasPublished(context: FaultBench): Promise<boolean> {
  const before = publishedMoment(await context.report())
  for (let polls = 0; polls < 50; polls++) {
    context.clock.advance(publishGapMs / 20)
    await delay(20)
    if (publishedMoment(await context.report()) !== before) return true
  }
  return false
}

interface Cell {
  readonly bench: FaultBench
  readonly truth: Truth
  readonly system: FaultedSystem
  readonly row: FaultRow
  readonly affected: readonly StackName[]
  readonly fault: Break
}

/** One cell: the fault, a cycle during it, the time until everything is stale, and the next cycle. Returns the failures. */
async function meet({ bench: context, truth, system, row, affected, fault }: Cell): Promise<string[]> {
  const { code } = row
  const failed = code !== null && code !== 'absent'
  const wrong: string[] = []
  const expect = (what: string, actual: unknown, wanted: unknown) => {
    if (JSON.stringify(actual) === JSON.stringify(wanted)) return
    wrong.push(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(wanted)}`)
  }
  const before = await context.report()
  const mend = await fault(context, affected)
  await truth.change(system, affected)
  await row.settle?.(context, affected)

  const { report: during, errors } = await lookAwake(context)
  for (const [stack, check, state] of statesOf(during)) {
    const where = `during the fault, ${stack} ${check}`
    const touched = affected.includes(stack) && system.checks.includes(check)
    if (!touched || code === null) {
      expect(`${where} is right`, [state.status, state.error], [truth.of(stack, check), null])
      if ((state.observedAt ?? '') < (during.cycle?.startedAt ?? '~'))
        wrong.push(`${where} is late: ${state.observedAt}`)
    } else if (code === 'absent') {
      expect(`${where} is reported as missing`, state.status === 'drifted' || state.error?.code === 'DEPENDS_ON', true)
    } else {
      const known = stateOf(before, stack, check)
      expect(`${where} keeps its status`, [state.status, state.observedAt], [known?.status, known?.observedAt])
      expect(`${where} has the error ${state.error?.message}`, state.error?.code, code)
    }
  }
  const counted = failed ? system.probes.map(probe => [`${probe} ${code}`, affected.length] as const) : []
  expect('the metrics count the same errors', errors, Object.fromEntries(counted.toSorted()))

  context.clock.advance(staleAfterMs)
  if (failed) {
    const aged = await context.report()
    for (const [stack, check, state] of statesOf(aged)) {
      if (!affected.includes(stack) || !system.checks.includes(check)) continue
      expect(`${stack} ${check} becomes stale`, [state.status, state.error?.code], ['unknown', code])
    }
  }

  if (system.name === 'Monitoring') {
    const told = await published(context, before, code === 'DEADLINE_EXCEEDED' ? 1000 : 0)
    // All stacks' series are written together.
    if (affected === scopes.all) expect('publishing', told, failed && !row.arrives ? code : null)
  }

  await mend()
  const mended = await context.report()
  for (const [stack, check, state] of statesOf((await lookAwake(context)).report))
    expect(`in the next cycle, ${stack} ${check}`, [state.status, state.error], [truth.of(stack, check), null])
  if (system.name === 'Monitoring') {
    context.clock.advance(publishGapMs)
    expect('publishing again', await published(context, mended, 0), null)
  }
  expect('sessions in each database', await sessions(context), { alpha: 1, beta: 1, gamma: 1 })
  return wrong
}

/** Waits for the next publish since a report; returns its error code, or null. Each check advances the time. */
async function published(bench: FaultBench, since: Report, stepMs: number): Promise<string | null> {
  for (;;) {
    const report = await bench.report()
    // An error with a new publish time comes from another operation.
    if (channelOf(report)?.publishedAt !== channelOf(since)?.publishedAt) return null
    if (publishedMoment(report) !== publishedMoment(since)) return channelOf(report)?.error?.code ?? null
    bench.clock.advance(stepMs)
    await delay(20)
  }
}

function channelOf({ channels }: Report) {
  return channels.find(({ channel }) => channel === 'cloud-monitoring')
}

/** Changes after each publish, whether it succeeded or failed. */
function publishedMoment(report: Report): string {
  const channel = channelOf(report)
  return `${channel?.publishedAt} ${channel?.error?.at}`
}

/** A cycle during which the event loop did not stall because of other load on this machine. */
async function lookAwake(bench: FaultBench): Promise<{ report: Report; errors: Record<string, number> }> {
  for (let tries = 1; ; tries++) {
    const before = await bench.probeErrors()
    await bench.service.refresh()
    const report = await bench.report()
    const asleep = statesOf(report).some(([, , state]) => state.error?.code === 'LOOP_BLOCKED')
    if (!asleep || tries === 3) return { report, errors: grownSince(before, await bench.probeErrors()) }
  }
}

function grownSince(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): Record<string, number> {
  const grown = [...after].map(([key, count]) => [key, count - (before.get(key) ?? 0)] as const)
  return Object.fromEntries(grown.filter(([, count]) => count > 0).sort())
}

async function sessions({ databases }: FaultBench): Promise<Record<string, number>> {
  const ask = async (name: StackName) => {
    const rows = await databases[name].server.sql(
      'postgres',
      `SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'monitor_${name}'`,
    )
    return [name, Number(rows[0]?.[0])] as const
  }
  return Object.fromEntries(await Promise.all(stackNames.map(ask)))
}

function statesOf(report: Report): (readonly [StackName, ReportedCheck['check'], ReportedCheck])[] {
  return report.stacks.flatMap(({ name, checks }) =>
    checks.map(state => [name as StackName, state.check, state] as const),
  )
}

function stateOf(report: Report, stack: string, check: string): ReportedCheck | undefined {
  return report.stacks.find(({ name }) => name === stack)?.checks.find(state => state.check === check)
}

type Truth = ReturnType<typeof createTruth>

/** The real state, which changes during every fault, so that an unchanged report is never correct. */
function createTruth({ cloudRun, databases }: FaultBench) {
  const staleSeries = new Set<StackName>()
  const opened = new Set<StackName>()
  const toggle = (set: Set<StackName>, stack: StackName) => (set.delete(stack) ? false : Boolean(set.add(stack)))
  return {
    async change(system: FaultedSystem, stacks: readonly StackName[]): Promise<void> {
      if (system.checks.includes('job-image')) {
        for (const stack of stacks) toggle(staleSeries, stack)
        cloudRun.setDrifted([...staleSeries])
      }
      if (!system.probes.includes('postgres-catalog')) return
      for (const stack of stacks) {
        const change = toggle(opened, stack) ? `GRANT SELECT ON runtime.events TO` : `REVOKE ALL ON runtime.events FROM`
        // A server that is down cannot be changed.
        await databases[stack].server.sql(stack, `${change} reader_${stack}`).catch(() => toggle(opened, stack))
      }
    },
    of(stack: StackName, check: string): string {
      const drifted =
        (check === 'job-image' && staleSeries.has(stack)) || (check === 'role-grants' && opened.has(stack))
      return drifted ? 'drifted' : 'in_sync'
    },
  }
}
