import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { root } from './child.ts'
import { type Fleet, startFleet } from './fleet.ts'
import { judge } from './judgement.ts'
import type { Bench, Row, Steady } from './row.ts'
import { rows } from './rows.ts'
import { measureSteady } from './steady.ts'
import { type RowResult, renderTable } from './table.ts'

const help = `Usage
  npm run bench [-- ROW... | --quick]

What does it do?
  It compares Driftwatch with minimal programs that do the same work, on this machine, and writes the results to
  docs/performance.json and docs/performance.md.

How do I measure less?
  ROW...     only these rows, replacing their previous results: ${rows.map(({ name }) => name).join(', ')}
  --quick    less of everything, without writing; exits with 1 if a result is worse by an order of magnitude
`

const file = new URL('docs/performance.json', root)
const page = new URL('docs/performance.md', root)

/** The contents of docs/performance.json. */
interface Results {
  readonly measuredAt: string
  readonly machine: ReturnType<typeof describeMachine>
  readonly rows: readonly RowResult[]
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
    allowPositionals: true,
  })
  const unknown = positionals.find(name => !rows.some(row => row.name === name))
  if (values.help || unknown !== undefined) {
    console.log(unknown === undefined ? help : `unknown row: ${unknown}\n\n${help}`)
    process.exitCode = unknown === undefined ? 0 : 1
    return
  }
  const wanted = rows.filter(({ name, quick }) =>
    positionals.length > 0 ? positionals.includes(name) : quick || !values.quick,
  )
  const machine = describeMachine()
  const measured = await measureAll(wanted, values.quick)
  if (values.quick) return reportQuick(measured)
  const results: Results = {
    measuredAt: new Date().toISOString(),
    machine: { ...machine, loadAfter: loadavg().map(twoDigits) },
    rows: positionals.length > 0 ? merge(readResults(), measured) : measured,
  }
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
  writeFileSync(page, fillPage(readFileSync(page, 'utf8'), results))
  console.log(`\n${renderTable(measured)}`)
}

async function measureAll(wanted: readonly Row[], quick: boolean): Promise<RowResult[]> {
  const fleets = new Map<string, Promise<Fleet>>()
  const steadies = new Map<number, Promise<Steady>>()
  const rounds = quick ? 2 : 5
  const context: Bench = {
    quick,
    rounds,
    sizes: (...sizes) => (quick ? sizes.filter(size => size === 100) : sizes),
    fleet: (size, latencyMs = 0) => getOrMake(fleets, `${size} ${latencyMs}`, () => startFleet(size, latencyMs)),
    steady: size => getOrMake(steadies, size, async () => measureSteady(await context.fleet(size), rounds, quick)),
  }
  try {
    const measured: RowResult[] = []
    for (const { name, title, floor, measure } of wanted) {
      console.log(`${new Date().toISOString()} ${name}`)
      measured.push({ name, title, floor, measurements: await measure(context) })
    }
    return measured
  } finally {
    await Promise.all([...fleets.values()].map(async fleet => (await fleet).close()))
  }
}

function getOrMake<Key, Value>(kept: Map<Key, Value>, key: Key, make: () => Value): Value {
  const value = kept.get(key) ?? make()
  kept.set(key, value)
  return value
}

/** A lost order of magnitude is a mistake in the code; anything less may be the machine. */
function reportQuick(measured: readonly RowResult[]): void {
  console.log(renderTable(measured))
  const lost = measured.filter(({ measurements }) => measurements.some(each => judge(each).lost))
  for (const { name } of lost) console.log(`An order of magnitude is lost: ${name}`)
  process.exitCode = lost.length > 0 ? 1 : 0
}

function describeMachine() {
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    /** Of 1, 5 and 15 minutes. */
    loadBefore: loadavg().map(twoDigits),
    loadAfter: [] as number[],
  }
}

function twoDigits(value: number): number {
  return Number(value.toFixed(2))
}

function readResults(): readonly RowResult[] {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as Results).rows
  } catch {
    return []
  }
}

/** In the order of the rows; what was not measured now stays. */
function merge(before: readonly RowResult[], now: readonly RowResult[]): RowResult[] {
  return rows.flatMap(({ name }) => [now, before].flatMap(each => each.filter(row => row.name === name)).slice(0, 1))
}

const [begin, end] = ['<!-- npm run bench -->', '<!-- end of the table -->']

function fillPage(text: string, { measuredAt, machine, rows }: Results): string {
  const [before] = text.split(begin)
  const [, after] = text.split(end)
  if (before === undefined || after === undefined) throw new Error(`docs/performance.md has no ${begin} ... ${end}`)
  const { cpu, cores, memoryGiB, node, loadBefore, loadAfter } = machine
  const where = `${measuredAt.slice(0, 10)}, ${cores} cores of ${cpu}, ${memoryGiB} GiB, Node.js ${node.slice(1)}. System load: ${loadBefore[0]} before, ${loadAfter[0]} after.`
  return `${before}${begin}\n${where}\n\n${renderTable(rows)}\n${end}${after}`
}

await main()
