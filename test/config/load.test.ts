import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { inspect } from 'node:util'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import t from 'tap'
import { parse, parseDocument } from 'yaml'
import type { Config } from '../../src/config/config.ts'
import type { Environment } from '../../src/config/environment.ts'
import { escapeInterpolation, interpolate } from '../../src/config/file/interpolate.ts'
import { loadConfig, parseConfig } from '../../src/config/load.ts'
import { printConfig } from '../../src/config/print-config.ts'
import { exactDuration, parseDuration } from '../../src/duration.ts'
import { DriftwatchError } from '../../src/errors.ts'
import { suggestWord } from '../../src/suggestion.ts'
import { buildConfig, catchMessage, read, ref, top } from '../helpers/config-text.ts'

const [s, m, _h, d] = [1000, 60_000, 3_600_000, 86_400_000]

t.test('an invalid config is rejected with all problems, each with its position and path', async t => {
  const folder = 'test/fixtures/config/invalid/'
  const names = readdirSync(new URL(folder, top))
  const cases = new Set(names.map(name => basename(name).replace(/\.(yaml|txt)$/, '')))
  const variables = { NONSENSE: 'hunter2 nonsense', PASSWORD: 'hunter2', YAML: 'x, name: [y]', YES: 'true' }
  t.equal(names.length, 2 * cases.size, 'every case is a .yaml and a .txt')
  for (const name of cases) {
    const message = catchMessage(t, 'CONFIG_INVALID', () =>
      parseConfig(read(`${folder}${name}.yaml`), 'driftwatch.yaml', variables),
    )
    t.equal(`${message}\n`, read(`${folder}${name}.txt`), name)
    t.notMatch(message, 'hunter2', `${name} shows no secret`)
  }
})

t.test('the number of reported problems is limited', async t => {
  const text = `stacks: []\n${Array.from({ length: 3000 }, (_, index) => `key${index}: value\n`).join('')}`
  const lines = catchMessage(t, 'CONFIG_INVALID', () => parseConfig(text, 'big.yaml', {})).split('\n')
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
    catchMessage(t, 'CONFIG_UNREADABLE', () => loadConfig({ file, environment: { variables: {} } }))
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
  t.notOk(editors({ timeout: 'soon', ...parse(buildConfig()) }), 'and an invalid value')
})

t.test('the config of the runbook uses the variables of its scripts', async t => {
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

t.test('the default of verifyEvery is never shorter than the usual gap of the schedule', async t => {
  const stacks = [{ name: 'runtime', project: 'acme', region: 'us-central1', service: { name: 'runtime' } }]
  const load = (settings: object) =>
    parseConfig(JSON.stringify({ ...settings, staleAfter: '7d', stacks }), 'driftwatch.yaml', {}).verifyEveryMs
  t.equal(load({}), 10 * m)
  t.equal(load({ schedule: '0 * * * *' }), 60 * m)
  t.equal(load({ schedule: '*/30 * 8-17 * * 1-5' }), 10 * m, 'nights and weekends do not count')
  t.equal(load({ schedule: '0 * * * *', verifyEvery: '1h' }), 60 * m)
  t.equal(load({ verifyEvery: '30s' }), 30 * s)
})

t.test('absent keys have their defaults', async t => {
  const expected: Config = {
    schedule: '*/30 * * * * *',
    timeoutMs: 10 * s,
    rolloutGraceMs: 15 * m,
    staleAfterMs: 5 * m,
    verifyEveryMs: 10 * m,
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

t.test('`defaults` does not offer a key that it refuses', async t => {
  const read = (key: string) =>
    catchMessage(t, 'CONFIG_INVALID', () => parseConfig(`defaults: { ${key}: x }\nstacks: [{}]\n`, 'd.yaml', {}))
  t.match(read('zzzzz'), 'd.yaml:1:13 defaults.zzzzz: unknown key; expected one of project, region, labels')
  t.match(read('nmae'), 'd.yaml:1:13 defaults.nmae: unknown key; expected one of project')
})

t.test('a typo gets a suggestion, another word gets the known words', async t => {
  const known = ['command', 'args', 'maxDuration', 'name']
  t.equal(suggestWord('comand', known), '. Did you mean "command"?')
  t.equal(suggestWord('max_duration', known), '. Did you mean "maxDuration"?')
  t.equal(suggestWord('names', known), '. Did you mean "name"?')
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

t.test('a region that does not have the form of one gets a note', async t => {
  const notesOf = (region: string) => parseConfig(buildConfig({ region }), '', {}).stacks[0]?.notes
  for (const region of ['us-central-1', 'us-central1-a', 'europe', 'us1'])
    t.match(notesOf(region), [`\`region\` "${region}" does not have the form of a region`], region)
  for (const region of ['us-central1', 'europe-west12', 'northamerica-northeast2', 'me-central2'])
    t.strictSame(notesOf(region), [], region)
})

t.test('typical mistakes in YAML are explained in plain words, one for each line', async t => {
  const mistakes: [string, RegExp][] = [
    ['a:\n\tb: 1\n', /:2:1 .*a tab indents this line/],
    ['stacks\n  - name: x\n', /:1:1 .*a key spans several lines/],
    ['a: 1\nb\nc: 2\n', /:2:1 .*this line has no colon/],
    ['a:\n   b: 1\n  c: 2\n', /:3:\d .*the indentation differs/],
    ['a: 1\n  b: 2\n', /:1:4 .*a second key on one line/],
    ['s:\n  - name: a\n  name: b\n', /:3:\d .*the indentation differs .* begin each item of a list with `- `/],
    ['s:\n- a\nb\n', /:3:\d .*this line has no colon/],
    ['- a\nb: c\n', /:2:1 .*(?:does not start with `- `|unexpected text)/],
    ['a: "x\nb: 1\n', /a double quote is not closed/],
    ["a: 'x\n", /a single quote is not closed/],
    ['a: "x" y\n', /:1:8 .*unexpected text/],
    ['a: [1, 2\nb: 3\n', /a list that begins with \[ is not closed/],
    ['a: {b: 1\n', /a map that begins with \{ is not closed/],
    ['a: {b: 1,, c: 2}\n', /between brackets/],
    ['a: @x\n', /a value cannot start with this character/],
    ['a: |x\n  y\n', /text after \| or >/],
    ['a: "x"#c\n', /a comment needs a space before #/],
    ['a: "\\q"\n', /an unknown escape sequence/],
    ['a: 1\n---\nb: 2\n', /:2:1 a second YAML document starts here/],
    ['{"a": [1],}]\n', /unexpected text/],
  ]
  for (const [text, message] of mistakes) {
    const found = catchMessage(t, 'CONFIG_INVALID', () => parseConfig(text, 'driftwatch.yaml', {}))
    t.match(found, message, JSON.stringify(text))
    const lines = found.split('\n').map(line => /^driftwatch\.yaml:(\d+):/.exec(line)?.[1])
    t.equal(new Set(lines).size, lines.length, 'one problem for each line')
  }
})
