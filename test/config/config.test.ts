import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { inspect } from 'node:util'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import { createTask } from 'node-cron'
import t, { type Test } from 'tap'
import { Document, parse, parseDocument, visit } from 'yaml'
import { generatedFiles } from '../../docs/generate.ts'
import { commandLine, updateJob } from '../../src/checks/fix.ts'
import type { Config } from '../../src/config/config.ts'
import { type Environment, environmentVariables, readEnvironment } from '../../src/config/environment.ts'
import { escapeInterpolation, interpolate } from '../../src/config/file/interpolate.ts'
import { suggestWord } from '../../src/config/file/suggestion.ts'
import { ajvOptions } from '../../src/config/file/validator.ts'
import { loadConfig, parseConfig } from '../../src/config/load.ts'
import { maskText, maskWords } from '../../src/config/mask.ts'
import { printConfig } from '../../src/config/print-config.ts'
import { longestGapMs, usualGapMs } from '../../src/config/schedule-gap.ts'
import { configSchema } from '../../src/config/schema.ts'
import { exactDuration, parseDuration } from '../../src/duration.ts'
import { DriftwatchError, type ErrorCode } from '../../src/errors.ts'

const top = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, top), 'utf8')

/** A reference to a variable. Written out, a linter would report it as a wrong template. */
const ref = (content: string) => `\${${content}}`

const [s, m, h, d] = [1000, 60_000, 3_600_000, 86_400_000]

/** A config with one stack: the required keys and these. */
function buildConfig(parts: object = {}, top: object = {}): string {
  const stack = { name: 'runtime', project: 'acme', region: 'us-central1', service: { name: 'runtime' }, ...parts }
  return new Document({ ...top, stacks: [stack] }).toString()
}

/** The message of the error that `act` throws. Fails the test if it does not throw a DriftwatchError with this code. */
function failure(t: Test, code: ErrorCode, act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (!(error instanceof DriftwatchError)) throw error
    t.equal(error.code, code)
    return error.message
  }
  t.fail('nothing was thrown')
  return ''
}

t.test('an invalid config is rejected with all problems, each with its position and path', async t => {
  const folder = 'test/fixtures/config/invalid/'
  const names = readdirSync(new URL(folder, top))
  const cases = new Set(names.map(name => basename(name).replace(/\.(yaml|txt)$/, '')))
  const variables = { NONSENSE: 'hunter2 nonsense', PASSWORD: 'hunter2', YAML: 'x, name: [y]', YES: 'true' }
  t.equal(names.length, 2 * cases.size, 'every case is a .yaml and a .txt')
  for (const name of cases) {
    const message = failure(t, 'CONFIG_INVALID', () =>
      parseConfig(read(`${folder}${name}.yaml`), 'driftwatch.yaml', variables),
    )
    t.equal(`${message}\n`, read(`${folder}${name}.txt`), name)
    t.notMatch(message, 'hunter2', `${name} shows no secret`)
  }
})

t.test('the number of reported problems is limited', async t => {
  const text = `stacks: []\n${Array.from({ length: 3000 }, (_, index) => `key${index}: value\n`).join('')}`
  const lines = failure(t, 'CONFIG_INVALID', () => parseConfig(text, 'big.yaml', {})).split('\n')
  t.equal(lines.length, 101)
  t.equal(lines.at(-1), 'big.yaml: 2901 more problems')
})

t.test('any text is a config or a coded error', async t => {
  const valid = read('deploy/openagents-runtime.yaml')
  const pieces = [
    'a',
    ':',
    ' ',
    '\n',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '&a ',
    '*a',
    '<<: ',
    '"',
    "'",
    '#',
    '!!set ',
    '|',
    '---',
  ]
  const piece = fc.constantFrom(
    ...pieces,
    ref(''),
    ref('A:-'),
    'stacks:',
    '\n  - name: a',
    '__proto__',
    'null',
    '\t',
    '\u0000',
  )
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 30 }).map(list => list.join('')),
    fc.array(piece, { maxLength: 8 }).map(list => `stacks:\n  - name: a\n    database:\n      roles: ${list.join('')}`),
    fc
      .tuple(fc.nat(valid.length), fc.nat(40), fc.array(piece, { maxLength: 4 }))
      .map(([start, length, list]) => valid.slice(0, start) + list.join('') + valid.slice(start + length)),
    fc.constantFrom('[', '{a: ', '- ', '? ').map(open => open.repeat(3000)),
  )
  const outcome = (text: string) => {
    try {
      return parseConfig(text, 'driftwatch.yaml', { A: 'b: {c}\nd: &e' }).stacks.length > 0
    } catch (error) {
      return (
        error instanceof DriftwatchError &&
        error.code === 'CONFIG_INVALID' &&
        /^driftwatch\.yaml:\d+:\d+ ./.test(error.message)
      )
    }
  }
  t.doesNotThrow(() => fc.assert(fc.property(texts, outcome), { numRuns: 120 }))
})

t.test('an unreadable file is a coded error with a remedy', async t => {
  const folder = t.testdir({
    'not-text.yaml': Buffer.from([0xff, 0xfe, 0x00, 0xd8]),
    'huge.yaml': ' '.repeat(1024 * 1024 + 1),
  })
  const unreadable = (file: string) =>
    failure(t, 'CONFIG_UNREADABLE', () => loadConfig({ file, environment: { variables: {} } }))
  const named = 'Use --config FILE or DRIFTWATCH_CONFIG to select another file.'
  t.equal(unreadable('nowhere.yaml'), `cannot read the configuration file nowhere.yaml: no such file. ${named}`)
  t.match(unreadable(folder), `it is a directory. ${named}`)
  t.match(unreadable(`${folder}/not-text.yaml`), 'it is not UTF-8 text')
  t.match(unreadable(`${folder}/huge.yaml`), 'it is larger than 1 MiB')
  t.match(unreadable('/dev/zero'), 'it is larger than 1 MiB')
  t.match(unreadable('a\0b'), 'cannot read the configuration file')
  t.match(unreadable(`${folder}/huge.yaml/x`), `ENOTDIR. ${named}`)
})

t.test('the config files of this repository load', async t => {
  const configs = readdirSync(new URL('deploy/', top)).filter(
    name => name.endsWith('.yaml') && parseDocument(read(`deploy/${name}`)).has('stacks'),
  )
  t.ok(configs.includes('openagents-runtime.yaml'))
  const editors = new Ajv({ allowUnionTypes: true }).compile(JSON.parse(read('deploy/driftwatch.schema.json')))
  for (const name of configs) {
    t.doesNotThrow(
      () => loadConfig({ file: new URL(`deploy/${name}`, top).pathname, environment: { variables: {} } }),
      name,
    )
    t.ok(editors(parse(read(`deploy/${name}`))), `${name} satisfies the schema for editors`)
  }
  for (const [, example = ''] of read('docs/configuration.md').matchAll(/```yaml\n([\s\S]*?)```/g)) {
    t.doesNotThrow(() => parseConfig(example, 'configuration.md', {}))
  }
  t.notOk(editors({ stacks: [{ nam: 'runtime' }] }), 'the schema for editors notices an unknown key')
  t.notOk(editors({ timeout: 'soon', ...parse(buildConfig()) }), 'and a value that makes no sense')
})

t.test('the config of the runbook takes the variables of its scripts', async t => {
  const load = (variables: Environment['variables']) =>
    parseConfig(read('deploy/openagents-runtime.yaml'), 'driftwatch.yaml', variables).stacks[0]
  t.match(load({}), {
    project: 'openagentsgemini',
    database: null,
    notes: ['The database checks do not run: `database.url` is empty.'],
  })
  const stack = load({
    GCP_PROJECT: 'acme',
    GCP_REGION: 'europe-west1',
    RUNTIME_SERVICE: 'serves',
    MIGRATE_JOB: 'migrates',
    EXPECTED_IMAGE: 'acme.dev/runtime:v1',
    DATABASE_URL: 'postgres://me@db/name',
  })
  t.match(stack, {
    project: 'acme',
    region: 'europe-west1',
    service: { name: 'serves', expectedImage: 'acme.dev/runtime:v1' },
  })
  t.match(stack, { job: { name: 'migrates', command: ['runtime-migrate'], args: [] }, notes: [] })
  t.equal(stack?.database?.url.reveal(), 'postgres://me@db/name')
  t.equal(
    load({ DB_URL: 'postgres://me@first', DATABASE_URL: 'postgres://me@second' })?.database?.url.reveal(),
    'postgres://me@first',
  )
})

t.test('absent keys have their defaults', async t => {
  const expected: Config = {
    schedule: '*/30 * * * * *',
    timeoutMs: 10 * s,
    rolloutGraceMs: 15 * m,
    staleAfterMs: 5 * m,
    host: '0.0.0.0',
    server: { auth: { kind: 'none' } },
    alerts: {
      channels: ['log', 'cloud-monitoring'],
      policies: 'off',
      severity: 'error',
      unknownAfterMs: 15 * m,
      autoCloseMs: 7 * 24 * 60 * m,
      notificationChannels: [],
      routes: [],
      baseUrl: null,
      runbookUrl: null,
      uptimeCheck: false,
    },
    quota: { readsPerMinute: 600, steadyPercent: 10, catchUpPercent: 50 },
    discover: null,
    stacks: [
      {
        name: 'runtime',
        project: 'acme',
        region: 'us-central1',
        labels: {},
        service: { name: 'runtime', container: null, repositories: [], expectedImage: null },
        job: { name: 'migrate', container: null, command: null, args: null, maxDurationMs: 30 * m },
        database: null,
        lanes: null,
        afterRollout: null,
        httpContract: null,
        notes: [],
      },
    ],
  }
  t.strictSame(parseConfig(buildConfig({ job: { name: 'migrate' } }), 'driftwatch.yaml', {}), expected)
  const role = {
    login: true,
    superuser: false,
    createRole: false,
    createDb: false,
    replication: false,
    bypassRls: false,
  }
  t.match(
    parseConfig(buildConfig({ database: { url: 'postgres://me@db', roles: { rw: { login: true } } } }), '', {})
      .stacks[0],
    {
      job: null,
      database: { roles: { rw: { ...role, members: [], database: [] } }, trustedRoles: [], schemas: {} },
    },
  )
})

t.test('args are checked if command or args are set', async t => {
  const job = (parts: object) => parseConfig(buildConfig({ job: { name: 'migrate', ...parts } }), '', {}).stacks[0]?.job
  t.match(job({ command: ['migrate'] }), { command: ['migrate'], args: [] })
  t.match(job({ args: ['--all'] }), { command: null, args: ['--all'] })
  t.match(job({ command: [], args: [''] }), { command: [], args: [''] })
})

t.test('a value is converted to the type of its key', async t => {
  const text = `
staleAfter: 1h30m
stacks:
  - name: runtime
    project: 007
    region: us-central1
    service: { name: runtime, container: 1.10, expectedImage: null }
    job: { name: no, container: ~, command: [true, 0x10, null], args: ["null"] }
    database: { url: postgres://me@db, roles: { rw: { login: ${ref('LOGIN')}, superuser: "true" } } }
`
  const config = parseConfig(text, 'driftwatch.yaml', { LOGIN: 'true' })
  t.match(config, {
    staleAfterMs: 90 * m,
    stacks: [{ project: '007', service: { container: '1.10', expectedImage: null } }],
  })
  t.match(config.stacks[0]?.job, { name: 'no', container: null, command: ['true', '0x10', ''], args: ['null'] })
  t.match(config.stacks[0]?.database?.roles.rw, { login: true, superuser: true })
})

t.test('anchors, aliases and merge keys work, and own keys take precedence', async t => {
  const text = `
stacks:
  - &base
    name: runtime
    project: acme
    region: us-central1
    service: &service { name: runtime, container: main }
    job: { name: migrate }
  - { <<: *base, name: control, service: { name: control, <<: *service } }
  - { name: third, <<: [{ region: europe-west1 }, *base], job: { name: migrate } }
`
  const [, control, third] = parseConfig(text, 'driftwatch.yaml', {}).stacks
  t.match(control, { name: 'control', service: { name: 'control', container: 'main' }, job: { name: 'migrate' } })
  t.match(third, { name: 'third', region: 'europe-west1', project: 'acme' })
})

t.test('variables are resolved as in a shell', async t => {
  const variables = { A: 'a', EMPTY: '', TRICK: ref('A') }
  const outcomes: Record<string, string> = {
    [`<${ref('A')}-${ref('A')}>`]: '<a-a>',
    [ref('EMPTY')]: '',
    [ref('EMPTY:-b')]: 'b',
    [ref('NONE:-')]: '',
    [ref(`NONE:-${ref(`NONE:-x${ref('A')}`)}y`)]: 'xay',
    [ref(`A:-${ref('NONE')}`)]: 'a',
    [ref('TRICK')]: ref('A'),
    [`$${ref('A')}`]: ref('A'),
    '$A } { $': '$A } { $',
  }
  for (const [text, value] of Object.entries(outcomes)) t.equal(interpolate(text, variables).value, value, text)
  for (const text of ['${', ref(''), ref('1'), ref('A:?b'), ref('A-b'), ref(' A'), '${A', `${ref('A:-${')}`]) {
    t.match(interpolate(text, variables).faults, [/^invalid variable: expected/], text)
  }
  t.match(interpolate(ref('toString'), {}).faults, [/^variable toString is not set/])
  t.match(
    interpolate('${A:-'.repeat(50_000), variables).faults,
    [/^invalid variable: expected/],
    'never-ending nesting',
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('$', '{', '}', 'A', ':-') }),
        text => interpolate(escapeInterpolation(text), {}).value === text,
      ),
    ),
  )
})

t.test('the value of a variable is never parsed as YAML', async t => {
  const text = `
stacks:
  - name: ${ref('NAME:-runtime')}
    project: acme
    region: us-central1
    service: { name: runtime, container: ${ref('VALUE')}, repositories: [${ref('HOST:-acme.dev')}/a, "${ref('HOST:-b.dev')}/b"] }
    job: { name: migrate, command: [${ref(`VALUE:-{a: [b], c # d`)}, 'it''s ${ref('VALUE')}', "\\"${ref('VALUE')}\\""] }
`
  const parts = (VALUE: string) => parseConfig(text, 'driftwatch.yaml', { VALUE }).stacks[0]
  t.match(parts(''), {
    job: { command: ['{a: [b], c # d', "it's ", '""'] },
    service: { repositories: ['acme.dev/a', 'b.dev/b'] },
  })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), value => {
        const stack = parts(value)
        return (
          stack?.service.container === value && stack.job?.command?.join('|') === `${value}|it's ${value}|"${value}"`
        )
      }),
      { numRuns: 50 },
    ),
  )
})

t.test('the password of a URL is never shown', async t => {
  const password = fc.string({ unit: fc.constantFrom(...'abc019-._~!$&()*+,;=:', '%25'), minLength: 6 })
  const urls = fc.constantFrom<(secret: string) => string>(
    secret => `postgres://admin:${secret}@db:5432/name?sslmode=require`,
    secret => `postgresql://me:${secret}@db`,
    secret => `postgres://admin:${secret}@/name?host=/cloudsql/acme:us-central1:db`,
    secret => `postgres://db/name?user=admin&password=${encodeURIComponent(secret)}`,
    secret => `postgres://me@db/name?p%61ssword=${encodeURIComponent(secret)}&${encodeURIComponent(secret)}=1`,
  )
  const isHidden = (secret: string, url: string) => {
    const config = parseConfig(buildConfig({ database: { url: escapeInterpolation(url) } }), '', {})
    const database = config.stacks[0]?.database
    // What is shown is a config too.
    parseConfig(printConfig(config), '', {})
    const shown = [
      printConfig(config),
      JSON.stringify(config),
      inspect(config, { depth: 9, showHidden: true }),
      `${database?.url}`,
    ]
    return (
      database?.url.reveal() === url &&
      !shown.some(text => text.includes(secret) || text.includes(encodeURIComponent(secret)))
    )
  }
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(password, urls, (secret, url) => isHidden(secret, url(secret))),
      { numRuns: 60 },
    ),
  )
})

t.test('a URL with a password is masked in any key', async t => {
  const secretUrl = 'postgres://admin:hunter2 or 3@db/name'
  const places: number[] = []
  visit(parseDocument(read('deploy/openagents-runtime.yaml')), {
    Scalar: (_, node) => void places.push(node.range?.[0] ?? 0),
  })
  t.ok(places.length > 80)
  const shown = (index: number, planted: string) => {
    const document = parseDocument(read('deploy/openagents-runtime.yaml'))
    visit(document, {
      Scalar(_, node) {
        if (node.range?.[0] === places[index]) node.value = planted
      },
    })
    try {
      return printConfig(parseConfig(String(document), 'driftwatch.yaml', { SECRET: secretUrl }))
    } catch (error) {
      return error instanceof DriftwatchError ? error.message : `${inspect(error)} hunter2`
    }
  }
  const planted = [secretUrl, ref('SECRET'), ref(`NONE:-${secretUrl}`)]
  const texts = places.map((_, index) => shown(index, planted[index % planted.length] ?? ''))
  t.strictSame(
    texts.filter(text => /hunter2|or 3/.test(text)),
    [],
  )
})

t.test('secrets in the words of a command are masked, with any quoting', async t => {
  for (const [word, shown] of [
    ['--url=http://a:b@c --password=d e', '--url=http://a:***@c --password=*** e'],
    ['host=db password=s3,cr&e\'t" user=me', 'host=db password=*** user=me'],
    ['psql "password=\'s3 cret\' host=db"', 'psql "password=*** host=db"'],
    ['{"password": "s3\\" cret", "port": 1}', '{"password": ***, "port": 1}'],
    ['{\\"api_key\\":\\"s3cret\\"}', '{\\"api_key\\":***'],
    ['--password=s3 cret', '--password=***'],
    ['PGPASSWORD=s3cret', 'PGPASSWORD=***'],
    ["--password='s3cret", '--password=***'],
    ['https://h/?token=s3cret', 'https://h/?token=***'],
    ['https://s3cret@h/x', 'https://***@h/x'],
    ['postgres://me@h/x', 'postgres://me@h/x'],
    ['http://host:8080/x', 'http://host:8080/x'],
    ['--token-file=/run/token', '--token-file=/run/token'],
    ['acme.dev/team/secret:v1@sha256:0', 'acme.dev/team/secret:v1@sha256:0'],
    ['password: s3cret', 'password: ***'],
    ['--password=', '--password='],
  ] as const) {
    t.equal(maskText(word), shown)
  }
  t.strictSame(maskWords(['--password', 's3cret', '--api-key', '-s3cret', 'run', 'token']), [
    '--password',
    '***',
    '--api-key',
    '***',
    'run',
    'token',
  ])
})

t.test('a shell parses a command line into the original words, and it shows no secret', async t => {
  const words = [
    ...['plain', '', '~root', '$(id)', '`id`', '$HOME', "it's", 'a "b" \\', '* ?', 'new\nline', '-x=!#', '{a,b}'],
    ...['postgres://me:s3cr$et@h', '--password=an other', 'x password="s3cr$et"', 'https://third@h'],
  ]
  const line = commandLine(...words)
  t.notMatch(line, /s3cr|other|third/)
  const read = (env: NodeJS.ProcessEnv) => spawnSync('sh', ['-c', `printf '%s\\0' ${line}`], { encoding: 'utf8', env })
  const { stdout } = read({ PASSWORD: 's3cr$et', PASSWORD_2: 'an other', PASSWORD_3: '"s3cr$et"', PASSWORD_4: 'third' })
  t.strictSame(stdout.split('\0').slice(0, -1), words)
  t.not(read({}).status, 0, 'without the secrets nothing is done')
  t.equal(read({}).stdout, '')
})

t.test('the secrets of a command with a list are shell variables', async t => {
  const [stack] = parseConfig(
    buildConfig({ job: { name: 'j', args: ['--password', 's3cret', '-a,b', 'db://me:s3cret@h'] } }),
    '',
    {},
  ).stacks
  const { job } = stack ?? {}
  if (!stack || !job) return t.fail('there is a job')
  t.equal(
    updateJob({ ...stack, job }, null),
    `gcloud run jobs update j --args '^|^--password|'"\${PASSWORD:?}"'|-a,b|db://me:'"\${PASSWORD:?}"@h --region us-central1 --project acme`,
  )
})

t.test('defaults apply to every stack that does not override them', async t => {
  const file = {
    defaults: {
      project: 'acme',
      region: 'us-central1',
      labels: { team: 'core', tier: 'one' },
      service: { repositories: ['acme.dev/a', 'acme.dev/b'] },
      job: { command: ['migrate'], maxDuration: '5m' },
      database: { trustedRoles: ['postgres'], roles: { owner: {} } },
    },
    stacks: [
      { name: 'plain', service: { name: 'plain' } },
      {
        name: 'own',
        region: 'europe-west1',
        labels: { tier: 'two' },
        service: { name: 'own', repositories: ['acme.dev/c'] },
        job: { name: 'own-migrate', args: ['up'] },
        database: { url: 'postgres://me@db', roles: { owner: { login: true } } },
      },
    ],
  }
  const [plain, own] = parseConfig(JSON.stringify(file), 'driftwatch.yaml', {}).stacks
  t.match(plain, {
    project: 'acme',
    region: 'us-central1',
    labels: { team: 'core', tier: 'one' },
    service: { repositories: ['acme.dev/a', 'acme.dev/b'] },
    job: null,
    database: null,
  })
  t.match(own, {
    region: 'europe-west1',
    labels: { team: 'core', tier: 'two' },
    service: { name: 'own', repositories: ['acme.dev/c'] },
    job: { name: 'own-migrate', command: ['migrate'], args: ['up'], maxDurationMs: 5 * m },
    database: { trustedRoles: ['postgres'], roles: { owner: { login: true, superuser: false } } },
  })
  t.equal(own?.service.repositories.length, 1, 'a list is replaced')
})

t.test('a discovered stack has the names of its labels and the values of defaults', async t => {
  const file = {
    discover: [
      { projects: ['acme', 'acme-eu'], regions: ['us-central1'] },
      { projects: ['acme'], regions: ['europe-west1'], jobs: 'optional' },
    ],
    defaults: {
      project: 'elsewhere',
      labels: { team: 'core' },
      service: { repositories: ['acme.dev/a'] },
      job: { command: ['migrate'] },
      afterRollout: {},
      database: { url: 'postgres://me:hunter2@db/x', roles: { owner: {} } },
    },
  }
  const { discover, stacks } = parseConfig(JSON.stringify(file), 'driftwatch.yaml', {})
  t.strictSame(stacks, [])
  t.strictSame(discover?.places, [
    { project: 'acme', region: 'us-central1', jobs: 'required' },
    { project: 'acme-eu', region: 'us-central1', jobs: 'required' },
    { project: 'acme', region: 'europe-west1', jobs: 'optional' },
  ])
  const found = { name: 'api', project: 'acme', region: 'us-central1', labels: { tier: 'one' }, service: 'api-svc' }
  t.match(discover?.stackOf({ ...found, job: 'api-migrate' }), {
    name: 'api',
    project: 'acme',
    labels: { team: 'core', tier: 'one' },
    service: { name: 'api-svc', repositories: ['acme.dev/a'] },
    job: { name: 'api-migrate', command: ['migrate'], maxDurationMs: 30 * m },
    afterRollout: { services: ['api-svc'] },
    database: { trustedRoles: [] },
  })
  t.equal(discover?.stackOf({ ...found, job: null }).job, null)
  t.notMatch(inspect(parseConfig(JSON.stringify(file), '', {}), { depth: 20 }), 'hunter2')

  const printed = printConfig(parseConfig(JSON.stringify(file), 'driftwatch.yaml', {}))
  t.notMatch(printed, 'hunter2')
  const again = parseConfig(printed, 'printed.yaml', {}).discover
  t.strictSame(again?.places, discover?.places)
  const shown = (config: typeof discover) => JSON.stringify(config?.stackOf({ ...found, job: 'j' }))
  t.equal(shown(again), shown(discover))
})

t.test('a printed config parses to the same config', async t => {
  const odd = {
    service: {
      name: 'runtime',
      container: 'null',
      repositories: ['acme.dev/a', 'localhost/b'],
      expectedImage: 'acme.dev/a',
    },
    job: {
      name: 'migrate',
      command: [`$${ref('A')}`, '- x: [y] # z', 'true', '', ' '],
      args: [],
      maxDuration: '1d2h3m4s5ms',
    },
  }
  const database = {
    url: 'postgres://me@db/name?host=/tmp',
    schemas: { 'odd name': {} },
    roles: { '*': { login: true } },
  }
  for (const text of [
    read('deploy/openagents-runtime.yaml'),
    buildConfig(odd, { rolloutGrace: '0s', staleAfter: '90061001ms', host: '::1' }),
    buildConfig({ database }),
  ]) {
    const config = parseConfig(text, 'driftwatch.yaml', {
      DB_URL: 'postgres://me@db',
      RUNTIME_BASE_URL: 'https://runtime.example',
    })
    const again = parseConfig(printConfig(config), 'printed.yaml', {})
    t.strictSame(JSON.parse(JSON.stringify(again)), JSON.parse(JSON.stringify(config)))
    t.match(JSON.stringify(again), 'runtime')
  }
  t.doesNotThrow(() => fc.assert(fc.property(fc.nat({ max: 3650 * d }), ms => parseDuration(exactDuration(ms)) === ms)))
  const withoutDatabase = parseConfig(read('deploy/openagents-runtime.yaml'), 'driftwatch.yaml', {})
  t.match(printConfig(withoutDatabase), /^# runtime: The database checks do not run: `database.url` is empty\.\n/)
})

t.test('the longest gap of a schedule covers nights, weekends and leap years', async t => {
  const gaps: Record<string, number> = {
    '* * * * * *': s,
    '*/30 * * * * *': 30 * s,
    '*/7 * * * * *': 7 * s,
    '*/40 * * * * *': 40 * s,
    '*/5 * * * *': 5 * m,
    '0,10 * * * *': 50 * m,
    '*/5 9-17 * * *': 15 * h + 5 * m,
    '*/5 9-17 * * 1-5': 2 * d + 15 * h + 5 * m,
    '0 22-2 * * *': 20 * h,
    '@daily': d,
    '0 0 * * 0': 7 * d,
    '0 0 1 * *': 31 * d,
    '0 0 31 * *': 61 * d,
    '0 0 1-30 * *': 2 * d,
    '0 0 2-31 * *': 2 * d,
    '0 0 1 1 *': 366 * d,
    '0 0 29 2 *': 2921 * d,
    '0 0 29 2 1': 14_609 * d,
    '0 0 31W 2 *': Number.POSITIVE_INFINITY,
  }
  for (const [expression, gap] of Object.entries(gaps)) t.equal(longestGapMs(expression), gap, expression)
})

t.test('the usual gap of a schedule is the median of a day', async t => {
  const gaps: Record<string, number> = {
    '*/30 * * * * *': 30 * s,
    '*/40 * * * * *': 20 * s,
    '*/7 * * * *': 7 * m,
    '*/5 9-17 * * 1-5': 5 * m,
    '0,10 * * * *': 10 * m,
    '0 9,13,17 * * *': 4 * h,
    '@daily': d,
    '0 0 * * 0': 7 * d,
    '0 0 31W 2 *': Number.POSITIVE_INFINITY,
  }
  for (const [expression, gap] of Object.entries(gaps)) t.equal(usualGapMs(expression), gap, expression)
})

t.test('the longest gap of a schedule matches the runs of node-cron', async t => {
  const observed = (expression: string, runs: number) => {
    const task = createTask(expression, () => undefined, { timezone: 'Etc/UTC' })
    const times = task.getNextRuns(runs).map(Number)
    void task.destroy()
    return Math.max(...times.slice(1).map((time, index) => time - (times[index] ?? 0)))
  }
  // The calendar of weekdays and leap years comes round in 28 years, as long as no century is near.
  for (const days of [
    'L * *',
    'L-3 * *',
    'LW * *',
    '1W * *',
    '15W * *',
    '30W * *',
    '* * 1L',
    '* * 5#5',
    '* * 0#1,3L',
    '13 * 5',
  ]) {
    const expression = `30 4 ${days}`
    t.equal(longestGapMs(expression), observed(expression, 12 * 28 + 1), expression)
  }
  const list = (least: number, most: number) =>
    fc
      .uniqueArray(fc.integer({ min: least, max: most }), { minLength: 1, maxLength: 4 })
      .map(values => values.join(','))
  const timesOfDay = fc.tuple(list(0, 59), list(0, 59), list(0, 23)).map(fields => `${fields.join(' ')} * * *`)
  const oneDay = (expression: string) => longestGapMs(expression) === observed(expression, 4 * 4 * 4 + 2)
  t.doesNotThrow(() => fc.assert(fc.property(timesOfDay, oneDay), { numRuns: 30 }))
})

t.test('a typo gets a suggestion, another word gets the known words', async t => {
  const known = ['command', 'args', 'maxDuration', 'name']
  t.equal(suggestWord('comand', known), '; did you mean "command"?')
  t.equal(suggestWord('max_duration', known), '; did you mean "maxDuration"?')
  t.equal(suggestWord('names', known), '; did you mean "name"?')
  t.equal(suggestWord('image', known), '; expected one of command, args, maxDuration, name')
  t.equal(suggestWord('image', []), '')
  t.match(
    suggestWord(
      'x',
      Array.from({ length: 50 }, (_, index) => `name${index}`),
    ),
    /name19, \.\.\.$/,
  )
})

t.test('the environment is read, and an empty variable counts as not set', async t => {
  const nothing = {
    port: 8080,
    configFile: 'driftwatch.yaml',
    logLevel: 'info',
    cloudRunEmulatorHost: null,
    monitoringEmulatorHost: null,
    artifactRegistryEmulatorHost: null,
    metadataHost: 'metadata.google.internal',
    adminUrl: null,
    service: null,
    noColor: false,
  }
  const { variables, ...rest } = readEnvironment({ OTHER: 'x' })
  t.strictSame(rest, nothing)
  const { adminUrl } = readEnvironment({ DB_ADMIN_URL: 'postgres://boss:hunter2@db/x' })
  t.equal(String(adminUrl), 'postgres://boss:***@db/x', 'a secret is masked')
  t.strictSame(variables, { OTHER: 'x' })
  const blank = Object.fromEntries(Object.keys(environmentVariables).map(name => [name, '']))
  t.match(readEnvironment(blank), nothing)
  const set = {
    PORT: '0',
    DRIFTWATCH_CONFIG: '/etc/driftwatch.yaml',
    LOG_LEVEL: 'warn',
    CLOUD_RUN_EMULATOR_HOST: 'localhost:1',
    MONITORING_EMULATOR_HOST: '[::1]:65535',
    ARTIFACT_REGISTRY_EMULATOR_HOST: '127.1.2.3:5000',
    K_SERVICE: 'driftwatch',
    NO_COLOR: '1',
  }
  t.match(readEnvironment(set), {
    port: 0,
    configFile: '/etc/driftwatch.yaml',
    logLevel: 'warn',
    cloudRunEmulatorHost: 'localhost:1',
    monitoringEmulatorHost: '[::1]:65535',
    artifactRegistryEmulatorHost: '127.1.2.3:5000',
    service: 'driftwatch',
    noColor: true,
  })
})

t.test('an invalid environment is rejected with all problems', async t => {
  const message = failure(t, 'USAGE', () =>
    readEnvironment({ PORT: '65536', LOG_LEVEL: 'loud', CLOUD_RUN_EMULATOR_HOST: 'run.googleapis.com:443' }),
  )
  t.strictSame(message.split('\n'), [
    'invalid PORT "65536": expected a number from 0 to 65535',
    'invalid LOG_LEVEL "loud": expected one of trace, debug, info, warn, error, fatal, silent',
    'invalid CLOUD_RUN_EMULATOR_HOST "run.googleapis.com:443": expected host:port on loopback, for example 127.0.0.1:9090',
  ])
  for (const PORT of ['-1', '1.5', '8o80', ' 80', '1e3', '0x10']) failure(t, 'USAGE', () => readEnvironment({ PORT }))
  for (const host of [
    '127.0.0.1',
    '10.0.0.1:80',
    '127.0.0.1.evil.dev:80',
    '127.0.0.300:80',
    'localhost:',
    'localhost:0',
    '::1:80',
    'localhost:99999',
    'http://localhost:80',
  ]) {
    failure(t, 'USAGE', () => readEnvironment({ MONITORING_EMULATOR_HOST: host }))
    failure(t, 'USAGE', () => readEnvironment({ ARTIFACT_REGISTRY_EMULATOR_HOST: host }))
  }
})

t.test('generated files are up to date', async t => {
  for (const [path, text] of generatedFiles()) t.equal(read(path), text, `${path} is current (npm run docs)`)
})

t.test('the schema is valid, rejects unknown keys, and describes every key', async t => {
  t.doesNotThrow(() => new Ajv({ ...ajvOptions, strict: true }).compile(configSchema))
  const faults: string[] = []
  const inspectSchema = (schema: Record<string, unknown>, path: string) => {
    if (schema.properties && schema.additionalProperties !== false) faults.push(`${path} is open`)
    for (const [key, value] of Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>)) {
      if (typeof value.description !== 'string' || !value.description.endsWith('.')) faults.push(`${path}.${key}`)
      inspectSchema(value, `${path}.${key}`)
    }
    for (const inner of [schema.items, schema.additionalProperties]) {
      if (typeof inner === 'object') inspectSchema(inner as Record<string, unknown>, `${path}[]`)
    }
  }
  inspectSchema(configSchema, '')
  t.strictSame(faults, [])
})
