import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { type CloudRun, startCloudRun } from '../../sandbox/cloud-run.ts'
import { expandDigests } from '../../sandbox/images.ts'
import { type JsonObject, mergePatch } from '../../sandbox/merge-patch.ts'
import { type Registry, startRegistry } from '../../sandbox/registry.ts'
import { loadWorld } from '../../sandbox/world.ts'
import { differenceKinds } from '../../src/checks/finding.ts'
import { judgeWords } from '../../src/checks/parts/cloud-run-parts.ts'
import { statuses } from '../../src/checks/status.ts'
import { runCli } from '../../src/cli/cli.ts'
import { systemClock } from '../../src/clock.ts'
import { errorTable } from '../../src/errors.ts'
import type { Report, ReportedCheck } from '../../src/report/report.ts'
import { complaintsOfGcloud, gcloudCommands, noGcloud } from '../helpers/gcloud.ts'

/** The checks of these cases. */
const cloudRunChecks = ['service-image', 'job-image', 'migration-execution'] as const

/**
 * A case is a folder named by its situation and its worst status. `patch.yaml` changes the world (form: sandbox/world.ts),
 * `config.yaml` (optional) changes the configuration, `expected.yaml` is the result.
 */
const folder = new URL('../fixtures/checks/', import.meta.url)

interface ExpectedDifference {
  readonly path: string
  readonly kind: string
  /** Part of the text. So are `via` and all texts of a check except `code`. */
  readonly expected?: string
  readonly actual?: string
  readonly via?: string
}

interface ExpectedCheck {
  readonly status: (typeof statuses)[number]
  /** All of them, in any order. If omitted: none when in sync, else any. */
  readonly differences?: readonly ExpectedDifference[]
  readonly summary?: readonly string[]
  /** Parts of the commands. Empty: no command fixes it. */
  readonly fix?: readonly string[]
  readonly advice?: readonly string[]
  /** Each is part of a note. Empty: no notes. */
  readonly notes?: readonly string[]
  /** Of the error. Omitted: no error. `ANY`: any error, or none if drifted. */
  readonly code?: string
  /** Part of the error message. */
  readonly message?: string
}

interface Expected {
  /** The rule that the case tests. */
  readonly why: string
  /** Cloud Run is emulated, but no registry. */
  readonly withoutRegistry?: boolean
  readonly checks: Readonly<Record<(typeof cloudRunChecks)[number], ExpectedCheck>>
  readonly exitCode: number
}

const text = { type: 'string', minLength: 1 } as const
const texts = { type: 'array', items: text } as const
const closed = (properties: object, required: readonly string[] = []) =>
  ({ type: 'object', additionalProperties: false, properties, required }) as const

const expectedCheck = closed(
  {
    status: { enum: statuses },
    differences: {
      type: 'array',
      minItems: 1,
      items: closed(
        {
          path: { type: 'string', pattern: '^(service|job|execution)(\\.[a-zA-Z]+)?$' },
          kind: { enum: differenceKinds },
          expected: text,
          actual: text,
          via: text,
        },
        ['path', 'kind'],
      ),
    },
    summary: texts,
    fix: texts,
    advice: texts,
    notes: texts,
    code: { enum: [...Object.keys(errorTable), 'ANY'] },
    message: text,
  },
  ['status'],
)

const schemas = {
  'patch.yaml': closed({ services: {}, revisions: {}, jobs: {}, executions: {}, registry: {}, faults: {} }),
  'config.yaml': closed({
    timeout: text,
    rolloutGrace: text,
    service: closed({ container: {}, repositories: {}, expectedImage: {} }),
    job: closed({ container: {}, command: {}, args: {}, maxDuration: {} }),
  }),
  'expected.yaml': closed(
    {
      why: text,
      withoutRegistry: { const: true },
      checks: closed(Object.fromEntries(cloudRunChecks.map(kind => [kind, expectedCheck])), cloudRunChecks),
      exitCode: { enum: [0, 1, 2, 3] },
    },
    ['why', 'checks', 'exitCode'],
  ),
} as const

interface Case {
  readonly name: string
  readonly patch: JsonObject
  readonly config: JsonObject
  readonly expected: Expected
}

const ajv = new Ajv({ allErrors: true })
const validators = Object.fromEntries(
  Object.entries(schemas).map(([file, schema]) => [file, ajv.compile<JsonObject>(schema)]),
)

function readCase(name: string): Case {
  const files = readdirSync(new URL(`${name}/`, folder))
  const content = Object.fromEntries(files.map(file => [file, readPart(`${name}/${file}`, file)]))
  return {
    name,
    patch: content['patch.yaml'] as JsonObject,
    config: (content['config.yaml'] ?? {}) as JsonObject,
    expected: content['expected.yaml'] as unknown as Expected,
  }
}

function readPart(path: string, file: string): JsonObject {
  const content: unknown = parse(expandDigests(readFileSync(new URL(path, folder), 'utf8')))
  const validate = validators[file]
  if (validate === undefined) throw new Error(`${path}: a case has ${Object.keys(schemas).join(', ')} and nothing else`)
  if (!validate(content)) throw new Error(`${path}: ${ajv.errorsText(validate.errors)}`)
  return content
}

/** The configuration of deploy/openagents-runtime.yaml without its database, changed by the case. */
function configOf({ config }: Case): string {
  const { service = {}, job = {}, ...settings } = config
  const stack = {
    name: 'runtime',
    project: 'openagentsgemini',
    region: 'us-central1',
    service: mergePatch(
      {
        name: 'runtime',
        repositories: ['us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust'],
      },
      service,
    ),
    job: mergePatch({ name: 'runtime-migrate', command: ['runtime-migrate'], args: [] }, job),
  }
  return JSON.stringify({ ...settings, stacks: [stack] })
}

/** The emulators hold one world at a time, so concurrent cases have their own. */
interface Lane {
  readonly cloudRun: CloudRun
  readonly registry: Registry
}

interface Output {
  readonly exitCode: number
  readonly report: Report
  readonly stderr: string
}

/** Runs `driftwatch check --format json` for a case. */
async function check(t: Test, { cloudRun, registry }: Lane, each: Case): Promise<Output> {
  const world = loadWorld(each.patch)
  cloudRun.setWorld(world)
  registry.setWorld(world.registry)
  const directory = t.testdir({ 'driftwatch.yaml': configOf(each) })
  const said = { stdout: '', stderr: '' }
  const stream = (name: keyof typeof said) => ({
    write(text: string) {
      said[name] += text
    },
  })
  const exitCode = await runCli(['check', '--format', 'json', '--config', join(directory, 'driftwatch.yaml')], {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    variables: {
      CLOUD_RUN_EMULATOR_HOST: cloudRun.host,
      ...(!each.expected.withoutRegistry && { ARTIFACT_REGISTRY_EMULATOR_HOST: registry.host }),
    },
    clock: systemClock,
    nodeVersion: process.version,
    signal: new AbortController().signal,
  })
  if (said.stdout === '') throw new Error(`check printed nothing: ${said.stderr}`)
  return { exitCode, report: JSON.parse(said.stdout), stderr: said.stderr }
}

/** One sentence for each way in which the output differs from the expected one. */
function complaintsOfAll(expected: Expected, { exitCode, report, stderr }: Output): string[] {
  const said: string[] = []
  const found = report.stacks.flatMap(({ checks }) => checks)
  const kinds = found.map(({ check }) => check).join()
  if (kinds !== cloudRunChecks.join()) said.push(`the checks reported are ${kinds}`)
  for (const each of found) {
    for (const complaint of complaints(expected.checks[each.check as (typeof cloudRunChecks)[number]], each))
      said.push(`${each.check}: ${complaint}`)
  }
  if (exitCode !== expected.exitCode) said.push(`exit code: expected ${expected.exitCode}, was ${exitCode}`)
  if (stderr !== '') said.push(`stderr: expected nothing, was ${stderr}`)
  return said
}

/** One sentence for each way in which the finding differs from the expected one. */
function complaints(expected: ExpectedCheck, found: ReportedCheck): string[] {
  const said: string[] = []
  const wrong = (what: string, wanted: unknown, was: unknown) =>
    said.push(`${what}: expected ${JSON.stringify(wanted)}, was ${JSON.stringify(was)}`)
  if (found.status !== expected.status) wrong('status', expected.status, found.status)
  const paths = ({ path, kind }: { path: string; kind: string }) => `${path} ${kind}`
  const wanted = expected.differences ?? (expected.status === 'in_sync' ? [] : found.differences)
  const [these, those] = [wanted.map(paths).sort(), found.differences.map(paths).sort()]
  if (these.join() !== those.join()) wrong('differences', these, those)
  for (const difference of expected.differences ?? []) {
    const match = found.differences.find(each => paths(each) === paths(difference))
    for (const key of ['expected', 'actual', 'via'] as const) {
      if (!(match?.[key] ?? '').includes(difference[key] ?? ''))
        wrong(`${difference.path} ${key}`, difference[key], match)
    }
  }
  for (const part of expected.summary ?? []) if (!found.summary.includes(part)) wrong('summary', part, found.summary)
  for (const part of expected.fix ?? []) if (!found.fix?.includes(part)) wrong('fix', part, found.fix)
  if (expected.fix?.length === 0 && found.fix !== null) wrong('fix', null, found.fix)
  for (const part of expected.advice ?? []) if (!found.advice?.includes(part)) wrong('advice', part, found.advice)
  for (const part of expected.notes ?? []) {
    if (!found.notes.some(note => note.includes(part))) wrong('notes', part, found.notes)
  }
  if (expected.fix?.length === 0 && found.fix !== null) wrong('fix', null, found.fix)
  if (expected.notes?.length === 0 && found.notes.length > 0) wrong('notes', [], found.notes)
  if (!codeFits(expected, found)) wrong('error', expected.code ?? null, found.error)
  if (!(found.error?.message ?? '').includes(expected.message ?? '')) wrong('error', expected.message, found.error)
  return [...said, ...blemishes(found)]
}

function codeFits({ code, status }: ExpectedCheck, { error }: ReportedCheck): boolean {
  if (code === 'ANY') return status !== 'unknown' || error !== null
  return (error?.code ?? null) === (code ?? null)
}

/** What no finding may have. */
function blemishes({ status, summary, differences, fix, advice, error }: ReportedCheck): string[] {
  const said: string[] = []
  if (!/^\S[^\n]*\S$/.test(summary)) said.push(`the summary is not one line: ${JSON.stringify(summary)}`)
  if (status !== 'drifted' && (fix !== null || advice !== null))
    said.push(`${status}, but with a remedy: ${fix} ${advice}`)
  if (status === 'drifted' && fix === null && advice === null) said.push('drifted without a remedy')
  if (status === 'drifted' && differences.length === 0) said.push('drifted without a difference')
  for (const text of [summary, error?.message ?? '']) {
    if (text.includes('@sha256:') || text.length > 600) said.push(`a message is long: ${text}`)
  }
  if (error?.code === 'IMAGE_UNRESOLVED' && !/\. [A-Z].*\.$/.test(error.message)) said.push('no next step')
  for (const { actual } of differences) {
    if (actual && actual.length > 100 && summary.includes(actual)) said.push(`said twice: ${actual}`)
    if (actual && actual.length > 500) said.push(`an actual value is long: ${actual}`)
  }
  for (const { path, expected, actual } of differences) {
    if (expected === actual) said.push(`${path}: expected and actual are both ${expected}`)
  }
  return said
}

// As in .taprc, for running this file alone.
t.setTimeout(120_000)

const names = readdirSync(folder).sort()
const cases = names.map(readCase)

t.test('there are enough cases, and they expect each status of each check', async t => {
  t.ok(cases.length >= 60, `${cases.length} cases`)
  for (const kind of cloudRunChecks) {
    const expected = new Set(cases.map(each => each.expected.checks[kind].status))
    t.strictSame([...expected].sort(), [...statuses].sort(), kind)
  }
  t.strictSame([...new Set(cases.map(({ expected }) => expected.exitCode))].sort(), [0, 1, 2, 3], 'exit codes')
})

t.test('the worst status of a case is in its folder name and its exit code', async t => {
  const exitCodes = { drifted: 2, unknown: 1, pending: 3, in_sync: 0 }
  for (const { name, expected } of cases) {
    const all = Object.values(expected.checks).map(({ status }) => status)
    const worst = statuses.find(status => all.includes(status)) ?? 'in_sync'
    t.ok(name.endsWith(`-${worst.replace('_', '-')}`), name)
    t.equal(expected.exitCode, exitCodes[worst], name)
  }
})

/** The fixes and the advice of all cases. */
const remedies: (string | null)[] = []

t.test('driftwatch check reports what each case expects', async t => {
  const lanes = await Promise.all(
    Array.from({ length: 4 }, async () => ({ cloudRun: await startCloudRun(), registry: await startRegistry() })),
  )
  t.teardown(() => Promise.all(lanes.flatMap(({ cloudRun, registry }) => [cloudRun.close(), registry.close()])))
  const free = [...lanes]
  t.jobs = lanes.length
  for (const each of cases) {
    t.test(each.name, { buffered: true }, async t => {
      const lane = free.pop()
      if (lane === undefined) throw new Error('more concurrent cases than emulators')
      t.teardown(() => free.push(lane))
      const output = await check(t, lane, each)
      remedies.push(...output.report.stacks.flatMap(({ checks }) => checks.flatMap(({ fix, advice }) => [fix, advice])))
      const wrong = complaintsOfAll(each.expected, output)
      for (const complaint of wrong) t.fail(complaint)
      if (wrong.length === 0) t.pass(each.expected.why)
    })
  }
})

t.test('gcloud accepts every command of every case', { skip: noGcloud, timeout: 300_000 }, async t => {
  const commands = gcloudCommands(remedies)
  t.ok(commands.length > 20)
  t.strictSame(await complaintsOfGcloud(commands), [])
})

t.test('arguments that differ only in a secret are a difference, which does not show the secret', async t => {
  const words = { path: 'job.args', subject: 'job migrate', what: 'args', via: null } as const
  const judge = (expected: string[], actual: string[]) => judgeWords({ expected, actual }, words, 'drifted')
  const part = judge(['--password', 'one', '-x'], ['--password', 'two', '-x'])
  t.match(part, {
    status: 'drifted',
    summary: 'Job migrate has the args ["--password","***","-x"]; a masked value differs.',
    difference: { expected: '["--password","***","-x"]', actual: '["--password","***","-x"]' },
  })
  t.match(judge(['a'], ['a', 'b']), { summary: 'Job migrate has the args ["a","b"] instead of ["a"].' })
  t.match(judge(['--password=one'], ['--password=one']), { status: 'in_sync' })
})
