import fc from 'fast-check'
import t from 'tap'
import { stringify } from 'yaml'
import { cannotJudge, conclude, differs, inSync, type Part } from '../src/checks/finding.ts'
import { statuses } from '../src/checks/status.ts'
import { heldDigests } from '../src/clients/registry/registry-manifest.ts'
import { systemClock } from '../src/clock.ts'
import { createLog } from '../src/cloud-log.ts'
import { formats } from '../src/config/file/formats.ts'
import { interpolate } from '../src/config/file/interpolate.ts'
import { parseConfig } from '../src/config/load.ts'
import { maskUrl } from '../src/config/mask.ts'
import { describeTarget, parsePostgresUrl } from '../src/config/postgres-url.ts'
import { printConfig } from '../src/config/print-config.ts'
import { longestGapMs } from '../src/config/schedule-gap.ts'
import type { State } from '../src/drift/state.ts'
import { createStore, type Outcome } from '../src/drift/store.ts'
import { exactDuration, parseDuration } from '../src/duration.ts'
import { DriftwatchError, errorTable } from '../src/errors.ts'
import { parseAcl } from '../src/grants/model/acl.ts'
import { quoteIdentifier } from '../src/grants/model/identifiers.ts'
import { compilePattern } from '../src/grants/model/name-pattern.ts'
import { rightsOf, withOptions } from '../src/grants/model/privileges.ts'
import { buildApp } from '../src/http/app.ts'
import { defaultLimits } from '../src/http/limits.ts'
import { createMetrics } from '../src/metrics/metrics.ts'
import { formatImage, parseImage } from '../src/release/image.ts'
import { followPointer } from '../src/release/json-pointer.ts'
import { createRenderer } from '../src/report/rendered.ts'
import { holds, holdsAsync, must } from './helpers/fuzz.ts'
import { startPostgres } from './helpers/postgres-server.ts'
import {
  buildDifference,
  buildDriftedState,
  buildSnapshot,
  buildStackStates,
  buildState,
  noon,
} from './helpers/states.ts'

const render = createRenderer()

/** The result of `work`, or null if it throws an error with this code. Other errors are rethrown. */
function unlessRefused<Value>(work: () => Value, ...codes: readonly string[]): Value | null {
  try {
    return work()
  } catch (thrown) {
    if (thrown instanceof DriftwatchError && codes.includes(thrown.code)) return null
    throw thrown
  }
}

const secret = 'pa55-w0rd'

/** A config with a value of every kind. */
const whole = {
  schedule: '*/30 * * * * *',
  timeout: '10s',
  staleAfter: '5m',
  alerts: {
    routes: [{ name: 'a', notificationChannels: ['projects/acme-prod/notificationChannels/1'], labels: { team: 'x' } }],
  },
  stacks: [
    {
      name: 'runtime',
      project: 'acme-prod',
      region: 'us-central1',
      service: { name: 'runtime', repositories: ['acme.dev/app/a'], expectedImage: 'acme.dev/app/a:one' },
      job: { name: 'migrate', command: ['migrate'], args: [], maxDuration: '30m' },
      lanes: [{ repository: 'acme.dev/app/a', tags: ['latest'], excludes: ['acme.dev/app/b'] }],
      httpContract: {
        url: 'https://runtime.example',
        bearerToken: secret,
        requests: [{ name: 'health', path: '/health', expect: [{ at: '/a', matches: '^x+$' }] }],
      },
      database: {
        url: `postgres://monitor:${secret}@db.example/app?sslmode=require`,
        roles: { owner: {}, rw: { members: ['owner'] } },
        schemas: {
          runtime: { owner: 'owner', relations: ['events'], grants: { rw: { tables: { 'sync_*': ['SELECT'] } } } },
        },
      },
    },
  ],
}

type Path = readonly (string | number)[]

/** The path of every value in it. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [
    path,
    ...Object.entries(value).flatMap(([key, inner]) =>
      pathsOf(inner, [...path, Array.isArray(value) ? Number(key) : key]),
    ),
  ]
}

/** A copy with another value at a path, or next to it under another key. */
function spoiled(
  value: unknown,
  [step, ...rest]: Path,
  { key, replacement }: { key: string | null; replacement: unknown },
): unknown {
  if (step === undefined) {
    if (key === null || typeof value !== 'object' || value === null) return replacement
    if (Array.isArray(value)) return [...value, replacement]
    return Object.fromEntries([...Object.entries(value), [key, replacement]])
  }
  if (Array.isArray(value))
    return value.map((each, index) => (index === step ? spoiled(each, rest, { key, replacement }) : each))
  const entries = Object.entries(value as object)
  return Object.fromEntries(
    entries.map(([name, each]) => [name, name === step ? spoiled(each, rest, { key, replacement }) : each]),
  )
}

const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    '__proto__',
    'constructor',
    '$'.concat('{'),
    '$'.concat('{A:-x}'),
    '~',
    '1e999',
    '-0',
    '0s',
    '99999d',
    '*',
    '\u0000',
    '\ud800',
  ),
  fc.constantFrom('2027-01-01', '0x10', '<<', '&a', '*a', '!!js', '|', '>', '%', '@', '`', '- - -', '{}', '#', ': '),
)

const spoiledConfig = fc
  .tuple(
    fc.constantFrom(...pathsOf(whole)),
    fc.option(fc.oneof(oddText, fc.constantFrom('schedule', 'name', 'url'))),
    fc.oneof(oddText, fc.jsonValue({ maxDepth: 3 })),
  )
  .map(([path, key, replacement]) => spoiled(whole, path, { key, replacement }))

t.test('a config loads or is rejected with positions, and a loaded one prints as a config without secrets', async t => {
  let loaded = 0
  const property = fc.property(spoiledConfig, fc.boolean(), (config, asJson) => {
    const text = asJson ? JSON.stringify(config) : stringify(config)
    let seen: ReturnType<typeof parseConfig>
    try {
      seen = parseConfig(text, 'fuzz.yaml', {})
    } catch (thrown) {
      must(thrown instanceof DriftwatchError && thrown.code === 'CONFIG_INVALID', 'it fails without a code', thrown)
      const strays = thrown.message.split('\n').filter(line => !/^fuzz\.yaml(:\d+:\d+ |: and \d+ more)/.test(line))
      must(strays.length === 0, 'a problem has no place', thrown.message)
      must(!thrown.message.includes(secret), 'a problem contains the secret', thrown.message)
      return
    }
    loaded += 1
    const printed = printConfig(seen)
    must(!printed.includes(secret) || !text.includes(`:${secret}@`), 'the printed config contains the secret', printed)
    must(!JSON.stringify(seen).includes(`:${secret}@`), 'the serialized config contains the secret')
    const again = parseConfig(printed, 'printed.yaml', {})
    const withoutNotes = printed.replace(/^(# .*\n)+/, '')
    must(printConfig(again) === withoutNotes, 'the printed config differs', printed, printConfig(again))
  })
  holds(t, 'a config with something else in it', property, 60)
  t.ok(loaded > 0, 'some are loaded')
})

t.test('a config with thousands of problems is rejected quickly', async t => {
  const lines = (line: (index: number) => string, length = 3000) =>
    Array.from({ length }, (_, index) => line(index)).join('\n')
  const texts = {
    'unknown keys': lines(index => `k${index}: 1`),
    'unknown keys with broken variables': lines(index => `k${index}: \${`, 40_000),
    'one key repeated': lines(() => 'schedule: x'),
    'stacks without anything': `stacks:\n${lines(() => '  - {}')}`,
    'equal stacks': JSON.stringify({
      stacks: Array.from({ length: 500 }, () => ({ ...whole.stacks[0], database: undefined })),
    }),
    'aliases of aliases': `a: &a0 [x, x]\n${Array.from({ length: 40 }, (_, index) => `b${index}: &a${index + 1} [*a${index}, *a${index}]`).join('\n')}`,
    'a long text': `schedule: ${'1,'.repeat(400_000)}1`,
    spaces: `schedule: "${'password '.repeat(80_000)}"`,
  }
  for (const [title, text] of Object.entries(texts)) {
    const before = process.cpuUsage()
    t.equal(
      unlessRefused(() => parseConfig(text, 'fuzz.yaml', {}), 'CONFIG_INVALID'),
      null,
      title,
    )
    const { user } = process.cpuUsage(before)
    t.comment(`${title}: ${Math.round(user / 1000)} ms`)
  }
})

t.test('parsers of text never throw, and parse their own output', async t => {
  const anyText = fc.oneof(fc.string({ unit: 'binary' }), oddText)
  holds(
    t,
    'durations',
    fc.property(fc.oneof(anyText, fc.stringMatching(/^([0-9]{1,20}(ms|s|m|h|d))+$/)), text => {
      const ms = parseDuration(text)
      must(ms === null || ms >= 0, 'a negative duration', ms)
      if (ms !== null && ms < 1e15) must(parseDuration(exactDuration(ms)) !== null, 'no duration', exactDuration(ms))
    }),
  )
  holds(
    t,
    'formats',
    fc.property(anyText, text => void Object.values(formats).map(format => format(text))),
    300,
  )
  holds(
    t,
    'variables',
    fc.property(anyText, fc.dictionary(fc.constantFrom('A', 'B', '__proto__'), anyText), (text, variables) => {
      const { value, faults } = interpolate(text, variables)
      must((value === undefined) !== (faults === undefined), 'neither a value nor an error')
    }),
  )
  holds(
    t,
    'images',
    fc.property(anyText, fc.constantFrom('', ':tag', '@sha256:abc', ':tag@sha256:abc'), (text, rest) => {
      const image = parseImage(text + rest)
      if (image)
        must(formatImage(parseImage(formatImage(image)) ?? image) === formatImage(image), 'another image', image)
      must(image === null || text.startsWith(image.repository), 'another repository', image)
    }),
  )
  holds(
    t,
    'schedules',
    fc.property(
      fc.array(fc.stringMatching(/^(\*|[0-9]{1,2}|L|LW|[0-9]{1,2}W|[0-7]L|[0-7]#[1-5])([-/,][0-9]{1,2}){0,2}$/), {
        minLength: 5,
        maxLength: 6,
      }),
      fields => {
        const schedule = fields.join(' ')
        if (formats.cron(schedule)) must(longestGapMs(schedule) > 0, 'no time passes', schedule)
      },
    ),
  )
  holds(
    t,
    'JSON Pointers find exactly the existing values',
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.array(oddText, { maxLength: 4 }), (document, steps) => {
      const pointer = (path: readonly string[]) =>
        path.map(step => `/${step.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
      followPointer(document, pointer(steps))
      for (const path of pathsOf(document)) {
        const value = path.reduce(
          (inner, step) => (inner as Record<string | number, unknown>)[step],
          document as unknown,
        )
        const pointed = followPointer(document, pointer(path.map(String)))
        must(pointed.kind === 'value' && pointed.value === value, 'it leads elsewhere', path)
      }
    }),
  )
  holds(
    t,
    'manifests',
    fc.property(
      fc.oneof(
        fc.uint8Array().map(bytes => Buffer.from(bytes)),
        fc.jsonValue().map(value => Buffer.from(JSON.stringify(value))),
        fc
          .record({
            schemaVersion: fc.constantFrom(2, 1, '2'),
            manifests: fc.oneof(fc.jsonValue(), fc.array(fc.record({ digest: fc.jsonValue() }))),
          })
          .map(value => Buffer.from(JSON.stringify(value))),
      ),
      bytes => void unlessRefused(() => heldDigests(bytes), 'MALFORMED_RESPONSE'),
    ),
  )
})

t.test('a database URL is parsed or rejected, and its password is never shown', async t => {
  const part = fc.stringMatching(/^[a-z0-9.%@:/?#&=[\]-]{0,12}$/)
  const property = fc.property(part, part, part, part, (user, host, name, query) => {
    const url = `postgres://${user}:${secret}@${host}/${name}?${query}`
    must(!maskUrl(url).includes(secret), 'the masked URL shows it', maskUrl(url))
    try {
      const target = parsePostgresUrl(url)
      must(
        !describeTarget(target).includes(secret) || user.includes('@') || user.includes('/'),
        'the description shows it',
        target,
      )
    } catch (thrown) {
      must(thrown instanceof DriftwatchError && thrown.code === 'CONFIG_INVALID', 'it fails without a code', thrown)
      must(!thrown.message.includes(secret), 'the error shows it', thrown.message)
    }
  })
  holds(t, 'URLs', property, 400)
  for (const port of ['0x10', '1e3', ' 5', '+5', '5.0']) {
    t.throws(() => parsePostgresUrl(`postgres://a@b:${port}/c`), { code: 'CONFIG_INVALID' }, `port ${port}`)
  }
})

t.test('a name pattern takes linear time and matches correctly', async t => {
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '\\', '.', '𝒳'), maxLength: 10 })
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '*', '\\', '.', '𝒳', '\n'), maxLength: 8 })
  /** A slow implementation of the definition. */
  const matches = (tokens: readonly string[], letters: readonly string[]): boolean => {
    const [token, ...rest] = tokens
    const [letter, ...others] = letters
    if (token === undefined) return letter === undefined
    if (token === '*') return matches(rest, letters) || (letter !== undefined && matches(tokens, others))
    if (letter === undefined) return false
    return (token === '?' || token === letter || token === `\\${letter}`) && matches(rest, others)
  }
  holds(
    t,
    'patterns',
    fc.property(pattern, name, (text, given) => {
      const tokens = text.match(/\\.|[\s\S]/gsu) ?? []
      must(compilePattern(text)(given) === matches(tokens, [...given]), 'it is another pattern', tokens)
    }),
    1000,
  )
  t.notOk(compilePattern(`${'*a'.repeat(30)}b`)('a'.repeat(63)), 'many stars between letters terminate')
})

t.test('privileges are parsed as the server prints them, with any role names', async t => {
  const text = fc.oneof(fc.string({ unit: fc.constantFrom(...'{}",=/\\ *0a_\'') }), fc.string({ unit: 'binary' }))
  const property = fc.property(
    text,
    acl => void unlessRefused(() => parseAcl(acl, () => 1), 'MALFORMED_RESPONSE', 'UNRECOGNIZED_VALUE'),
  )
  holds(t, 'any text', property, 1000)

  const server = await startPostgres(18)
  t.teardown(() => server.stop())
  const unit = fc.constantFrom(...'abZ019_ \t\n"\'`,;{}()\\/=*+-$%é漢🙂')
  const roleName = fc.string({ unit, minLength: 1, maxLength: 15 }).filter(name => !/^pg_/.test(name))
  const names = [...new Set(fc.sample(roleName, { numRuns: 40, seed: 7 }))]
  const roles = [...names, 'public_', 'PUBLIC', '0', '"', '\\', '{}', ',', '=', '/']
  const statements = [
    'CREATE TABLE held ()',
    ...[...new Set(roles)].flatMap(role => [
      `CREATE ROLE ${quoteIdentifier(role)}`,
      `GRANT SELECT, UPDATE ON held TO ${quoteIdentifier(role)} WITH GRANT OPTION`,
      `GRANT DELETE ON held TO ${quoteIdentifier(role)}`,
    ]),
    'GRANT INSERT ON held TO PUBLIC',
  ]
  await server.sql('postgres', statements.join(';'))
  const [[acl] = []] = await server.sql('postgres', `SELECT relacl::text FROM pg_class WHERE relname = 'held'`)
  const oids = new Map((await server.sql('postgres', 'SELECT rolname, oid::int FROM pg_roles')) as [string, number][])
  const truth = (await server.sql(
    'postgres',
    `SELECT grantee::int, grantor::int, privilege_type, is_grantable FROM pg_class, aclexplode(relacl) WHERE relname = 'held'`,
  )) as [number, number, string, boolean][]
  const rights = new Map<string, number>()
  for (const [grantee, grantor, word, grantable] of truth) {
    const right = grantable ? withOptions(rightsOf([word])) : rightsOf([word])
    rights.set(`${grantee} ${grantor}`, (rights.get(`${grantee} ${grantor}`) ?? 0) | right)
  }
  const read = parseAcl(String(acl), name => oids.get(name))
  t.strictSame(new Map(read.map(entry => [`${entry.grantee} ${entry.grantor}`, entry.rights])), rights)
  t.ok(rights.size > 40)
})

t.test('any HTTP request gets a response with a code, and never a failure', async t => {
  const rendered = render(
    buildSnapshot({
      stacks: [buildStackStates({ states: [buildState(), buildDriftedState()] }), buildStackStates({ name: 'odd' })],
    }),
  )
  const app = buildApp({
    rendered: () => rendered,
    readiness: () => ({ ready: true }),
    metrics: createMetrics({ build: { version: '0', node: 'v0' } }),
    refresh: async () => ({ id: 1, startedAt: noon, durationMs: 1 }),
    auth: () => null,
    limits: { ...defaultLimits, loopDelayMs: 600_000 },
    clock: systemClock,
    log: createLog({ level: 'silent' as 'error', clock: systemClock }),
  })
  t.teardown(() => app.close())
  const segment = fc.oneof(
    fc.constantFrom(
      'drift',
      'runtime',
      'gate',
      'job-image',
      'metrics',
      'health',
      'live',
      'docs',
      'openapi.json',
      '..',
      '%2e%2e',
      '',
      '%',
      '%ff',
      '__proto__',
      'constructor',
    ),
    fc.string({ maxLength: 200 }).map(encodeURIComponent),
    fc.string({ maxLength: 20 }),
  )
  const parameter = fc
    .tuple(
      fc.oneof(
        fc.constantFrom('format', 'status', 'check', '__proto__', 'status[]', 'format[a]', 'toString'),
        fc.string(),
      ),
      fc.oneof(fc.constantFrom('json', 'text', 'drifted', 'job-image', '', '%'), fc.string()),
      fc.boolean(),
    )
    .map(([key, value, encoded]) =>
      encoded ? `${encodeURIComponent(key)}=${encodeURIComponent(value)}` : `${key}=${value}`,
    )
  const headerValue = fc.oneof(
    fc.constantFrom(
      '*/*',
      'text/plain;q=',
      'text/*;q=0.5, */*;q=NaN',
      ',,,;;;',
      '*',
      'W/"',
      '"a", W/"b"',
      ','.repeat(5000),
    ),
    fc.string({ unit: fc.constantFrom(...' !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~az09'), maxLength: 60 }),
  )
  const property = fc.asyncProperty(
    fc.array(segment, { maxLength: 4 }),
    fc.array(parameter, { maxLength: 4 }),
    fc.dictionary(
      fc.constantFrom('accept', 'if-none-match', 'accept-encoding', 'content-type', 'range', 'x-http-method-override'),
      headerValue,
    ),
    fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'),
    async (path, query, headers, method) => {
      const url = `/${path.join('/')}${query.length > 0 ? '?' : ''}${query.join('&')}`
      const answer = await app.inject({
        url: { pathname: url.split('?')[0] ?? '/', query: query.join('&') },
        headers,
        method: method as 'GET',
      })
      const isGate = /gate/.test(url)
      must(answer.statusCode < 500 || (isGate && answer.statusCode === 503), `${answer.statusCode}`, answer.body)
      must(!/at .*\.(ts|js):\d+/.test(answer.body), 'it shows a stack trace', answer.body)
      if (answer.statusCode < 400 || answer.statusCode === 503 || method === 'HEAD') return
      must(answer.json().error.code in errorTable, 'the error has no code', answer.body)
    },
  )
  await holdsAsync(t, 'requests', property, 400)
})

t.test('any state is shown without control characters, and every metric is well-formed', async t => {
  const wild = fc.string({ unit: 'binary', maxLength: 40 })
  const fields: fc.Arbitrary<Omit<State, 'content'>> = fc.record({
    check: fc.constantFrom('job-image' as const, 'schema' as const),
    status: fc.constantFrom(...statuses),
    since: fc.nat(noon),
    observedAt: fc.option(fc.nat(noon)),
    staleAt: fc.option(fc.nat(noon)),
    summary: wild,
    differences: fc.array(
      fc.tuple(wild, wild, fc.option(wild)).map(([path, actual, via]) => buildDifference({ path, actual, via })),
      { maxLength: 2 },
    ),
    notes: fc.array(wild, { maxLength: 2 }),
    fix: fc.option(wild),
    advice: fc.option(wild),
    error: fc.option(fc.record({ code: fc.constant('INTERNAL' as const), message: wild, at: fc.nat(noon) })),
  })
  const state = fields.map(one => buildState(one))
  const snapshot = fc
    .array(fc.tuple(wild, fc.uniqueArray(state, { selector: ({ check }) => check })), { maxLength: 3 })
    .map(all =>
      buildSnapshot({
        stacks: all.map(([name, states]) => buildStackStates({ name, project: name, job: name, states })),
      }),
    )
  holds(
    t,
    'reports',
    fc.property(snapshot, taken => {
      const text = String(render(taken).report('text').body)
      must(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text.replaceAll('\n', '')), 'a control character', text)
      const report = JSON.parse(String(render(taken).report('json').body))
      must(report.stacks.length === taken.stacks.length, 'the JSON is another report')
    }),
  )
  const sample = /^[a-z_:][a-z0-9_:]*(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\})? (-?[0-9.e+-]+|NaN|[+-]Inf) *$/i
  await holdsAsync(
    t,
    'metrics',
    fc.asyncProperty(snapshot, async taken => {
      const metrics = createMetrics({ build: { version: '0', node: 'v0' } })
      metrics.update(taken)
      const lines = `${metrics.drift()}${await metrics.runtime()}`
        .split('\n')
        .filter(line => line !== '' && !/^# (HELP|TYPE) /.test(line))
      must(
        lines.every(line => sample.test(line)),
        'an invalid line',
        lines.find(line => !sample.test(line)),
      )
    }),
    30,
  )
})

const minute = 60_000
const limits = { staleAfterMs: 5 * minute, graceMs: 15 * minute, maxDurationMs: 30 * minute }

t.test('a state never claims anything that was not observed', async t => {
  const path = fc.constantFrom('a', 'b', 'c')
  const difference = (status: 'drifted' | 'pending') =>
    path.map(name => differs(status, name, { path: name, kind: 'changed', expected: '1', actual: '2' }))
  const doubt = (status: 'unknown' | 'pending') =>
    fc.constant(cannotJudge({ code: 'IMAGE_UNRESOLVED', message: 'a tag' }, status))
  const part: fc.Arbitrary<Part> = fc.oneof(
    { arbitrary: fc.constant(inSync), weight: 3 },
    difference('drifted'),
    { arbitrary: difference('pending'), weight: 3 },
    doubt('unknown'),
    doubt('pending'),
  )
  const finding = fc.array(part, { minLength: 1, maxLength: 3 }).map(parts => conclude(parts, 'fine'))
  const step = fc.record({
    passes: fc.oneof(
      { arbitrary: fc.integer({ min: 1000, max: 4 * minute }), weight: 5 },
      fc.integer({ min: 1000, max: 60 * minute }),
    ),
    event: fc.oneof({ arbitrary: finding, weight: 4 }, fc.constantFrom('failure' as const, 'nothing' as const)),
  })
  const longestPendingMs = limits.graceMs + limits.maxDurationMs
  const file = {
    schedule: '* * * * *',
    timeout: '10s',
    staleAfter: '5m',
    stacks: [{ ...whole.stacks[0], database: undefined }],
  }
  const config = parseConfig(JSON.stringify(file), 'fuzz.yaml', {})
  const property = fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), steps => {
    const store = createStore(config, () => [{ kind: 'job-image' } as never], noon)
    let now = noon
    let before = store.snapshot(noon).stacks[0]?.states[0] as State
    let pendingSince: number | null = null
    let unhealed = new Set<string>()
    for (const { passes, event } of steps) {
      now += passes
      const changes = store.age(now)
      const kept = store.snapshot(now).stacks[0]?.states[0] as State
      if (kept.status !== 'pending') pendingSince = null
      if (event !== 'nothing') {
        const outcome: Outcome =
          event === 'failure'
            ? { kind: 'failure', error: { code: 'UNAVAILABLE', message: 'gone', at: now } }
            : { kind: 'finding', finding: event, observedAt: now }
        const change = store.record('runtime', 'job-image', outcome)
        if (change) changes.push(change)
      }
      const after = store.snapshot(now).stacks[0]?.states[0] as State
      const fresh = after.observedAt !== null && now < after.observedAt + limits.staleAfterMs
      must(after.status === 'unknown' || fresh, 'a stale state has a status', after)
      must(fresh || (after.differences.length === 0 && after.fix === null), 'a stale state shows differences', after)
      must(after.since <= now && after.since >= before.since, 'since goes back', before, after)
      must(
        (after.since === before.since) === (changes.length === 0) || before.observedAt === null,
        'since without a change',
        before,
        after,
      )
      must(before.observedAt !== null || changes.length === 0, 'a first finding is a change', changes)
      const chain = [before.status, ...changes.map(({ to }) => to)]
      must(
        changes.every(({ from }, at) => from === chain[at]),
        'a change begins elsewhere',
        changes,
      )
      must(before.observedAt === null || chain.at(-1) === after.status, 'a change is missing', changes, after)
      if (event === 'failure')
        must(
          after.error?.code === 'UNAVAILABLE' && after.status === kept.status,
          'a failed probe changes the status',
          after,
        )
      if (typeof event === 'object') {
        const shown = event.differences.map(each => each.path)
        must(
          statuses.indexOf(after.status) <= statuses.indexOf(event.status),
          'the status is better than the finding',
          after,
        )
        must(after.status !== 'in_sync' || event.status === 'in_sync', 'in sync without a finding in sync', after)
        must(after.status !== 'drifted' || shown.length > 0, 'drifted without a difference', after)
        must(after.status !== 'pending' || !shown.some(name => unhealed.has(name)), 'a drift became pending', after)
        must(
          after.status !== 'pending' || event.unknownReason === null || unhealed.size === 0,
          'a drift is hidden by a doubt',
          after,
        )
        const outlasted =
          event.status === 'pending' && after.status === 'drifted' && !shown.some(name => unhealed.has(name))
        if (event.unknownReason === null) unhealed = new Set([...unhealed].filter(name => shown.includes(name)))
        for (const name of outlasted ? shown : event.proven) unhealed.add(name)
      }
      if (after.status !== 'pending') pendingSince = null
      else if (event !== 'nothing' && event !== 'failure') pendingSince ??= now
      must(
        pendingSince === null || (after.observedAt ?? now) - pendingSince <= longestPendingMs,
        'it is pending for too long',
        after,
      )
      before = after
    }
  })
  holds(t, 'timelines', property, 500)
})
