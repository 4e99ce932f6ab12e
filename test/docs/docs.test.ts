import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { evaluationCost } from '../../docs/cost.ts'
import { pagesWithExamples } from '../../docs/examples.ts'
import { isScenarioName, readScenario } from '../../sandbox/scenarios.ts'
import { type CheckKind, checkKinds } from '../../src/checks/check.ts'
import { runCli } from '../../src/cli/cli.ts'
import { systemClock } from '../../src/clock.ts'
import { errorTable } from '../../src/errors.ts'
import { reportSchema } from '../../src/report/report.ts'
import { faultedSystems } from '../helpers/fault-table.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(join(top, path), 'utf8')
const list = (pattern: string) => globSync(pattern, { cwd: top }).sort()
const pages = [...list('*.md'), ...list('docs/**/*.md')]
const scripts = Object.keys((JSON.parse(read('package.json')) as { scripts: object }).scripts)

/** The cells of every row of the tables on a page whose first cell is code. */
function rowsOf(page: string): string[][] {
  return [...page.matchAll(/^\| (`.*) \|$/gm)].map(([, row = '']) => row.split(' | ').map(cell => cell.trim()))
}

const unquoted = (cell = '') => cell.replaceAll('`', '')

t.test('docs/errors.md has every code of the table, in its order and with its traits', async t => {
  const documented = rowsOf(read('docs/errors.md')).map(([code, meaning, retryable, http]) => ({
    code: unquoted(code),
    meaning,
    retryable: retryable === 'yes',
    httpStatus: Number(http),
  }))
  const known = Object.entries(errorTable).map(([code, { meaning, retryable, httpStatus }]) => ({
    code,
    meaning,
    retryable,
    httpStatus,
  }))
  t.strictSame(documented, known)
  t.ok(
    rowsOf(read('docs/errors.md')).every(([, , , , todo]) => todo && todo !== '-'),
    'and says what to do',
  )
})

t.test('every check has a page, and every page a check', async t => {
  t.strictSame(
    list('docs/checks/*.md').map(path => path.replace(/^docs\/checks\/|\.md$/g, '')),
    [...checkKinds].sort(),
  )
})

interface ExpectedFindings {
  readonly checks: Readonly<Record<string, { readonly differences?: readonly { readonly path: string }[] }>>
}

/** The differences of the checks on databases are held against a database, in docs-database.test.ts. */
const cloudRunChecks = ['service-image', 'job-image', 'migration-execution'] as const satisfies readonly CheckKind[]

for (const check of cloudRunChecks) {
  t.test(`the page of ${check} explains the differences that its cases show, and no others`, async t => {
    const shown = list('test/fixtures/checks/*/expected.yaml').flatMap(path =>
      ((parse(read(path)) as ExpectedFindings).checks[check]?.differences ?? []).map(difference => difference.path),
    )
    t.ok(shown.length > 0)
    t.strictSame(
      rowsOf(read(`docs/checks/${check}.md`))
        .map(([path]) => unquoted(path))
        .sort(),
      [...new Set(shown)].sort(),
    )
  })
}

/** These have no cases of their own there: their pages are held against their examples. */
for (const check of ['image-lanes', 'after-rollout', 'http-contract'] as const satisfies readonly CheckKind[]) {
  t.test(`the page of ${check} explains the differences of its example`, async t => {
    const page = read(`docs/checks/${check}.md`)
    const example = JSON.parse(/```json\n(.*?)```/s.exec(page)?.[1] ?? 'null') as ExpectedFindings['checks'][string]
    explained(t, page, example.differences ?? [])
  })
}

for (const check of checkKinds) {
  const page = read(`docs/checks/${check}.md`)

  t.test(`the page of ${check} names only codes that there are`, async t => {
    const codes = [...page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, code = '']) => code)
    t.ok(codes.length > 0)
    t.strictSame(
      codes.filter(code => !(code in errorTable)),
      [],
    )
  })

  t.test(`the page of ${check} shows a finding that parses`, async t => {
    const example = JSON.parse(/```json\n(.*?)```/s.exec(page)?.[1] ?? 'null') as { check: CheckKind }
    const valid = new Ajv({ allowUnionTypes: true, formats: { 'date-time': true } }).compile(
      reportSchema.properties.stacks.items.properties.checks.items,
    )
    t.ok(valid(example), JSON.stringify(valid.errors))
    t.match(example, { check, status: 'drifted', differences: [{ path: String }], fix: /^(gcloud|driftwatch|curl) / })
  })
}

/** Paths that hold names of the config are explained by a row such as `<service>.errorLogs`. */
function explained(t: Test, page: string, shown: readonly { readonly path: string }[]): void {
  const rows = rowsOf(page).map(([path = '']) => new RegExp(`^${unquoted(path).replaceAll(/<[a-z]+>/g, '.+')}$`))
  t.ok(shown.length > 0)
  for (const { path } of shown)
    t.ok(
      rows.some(row => row.test(path)),
      path,
    )
}

t.test('the examples in the docs are what Driftwatch says in the sandbox', async t => {
  const fresh = await pagesWithExamples()
  t.ok(fresh.size > cloudRunChecks.length, 'the pages of these checks and the README')
  for (const [path, text] of fresh) t.equal(read(path), text, `${path}: npm run docs writes it anew`)
})

t.test('links between the pages lead somewhere', async t => {
  const links = pages.flatMap(page =>
    [...read(page).matchAll(/\]\((?!https?:)([^)]*)\)/g)].map(([, link = '']) => {
      const [path = '', anchor = ''] = link.split('#')
      return { page, target: path === '' ? page : join(dirname(page), path), anchor }
    }),
  )
  t.ok(links.length > 20)
  t.strictSame(
    links.filter(({ target, anchor }) => !existsSync(join(top, target)) || !hasAnchor(target, anchor)),
    [],
  )
})

/** Whether a page has the heading that an anchor names, as GitHub spells them. */
function hasAnchor(page: string, anchor: string): boolean {
  if (anchor === '') return true
  const headings = [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return headings.includes(anchor)
}

t.test('costs are counted as Google counts in its own examples', async t => {
  const evaluations = (30 * 86_400) / 30
  t.equal(evaluationCost(100, evaluations, { millionSeries: 0.35 }).toFixed(2), '3.02', '100 series in one condition')
})

t.test('every page is reached from the README', async t => {
  const seen = new Set<string>()
  const open = ['README.md']
  for (let page = open.pop(); page !== undefined; page = open.pop()) {
    if (seen.has(page)) continue
    seen.add(page)
    for (const [, link = ''] of read(page).matchAll(/\]\((?!https?:)([^)#]+\.md)[^)]*\)/g))
      open.push(join(dirname(page), link))
  }
  const generated = 'docs/configuration.template.md'
  t.strictSame(
    pages.filter(page => !seen.has(page) && page !== generated),
    [],
  )
})

t.test('the tests that docs/reliability.md and SECURITY.md name exist', async t => {
  const text = read('docs/reliability.md') + read('SECURITY.md')
  const files = [...text.matchAll(/`(test\/[\w./-]+\.ts)`(?:: ((?:\*[^*]+\*(?:, )?)+))?/g)]
  t.ok(files.length > 20)
  for (const [, file = '', titles = ''] of files) {
    if (!existsSync(join(top, file))) t.fail(`there is no ${file}`)
    else
      for (const [, title = ''] of titles.matchAll(/\*([^*]+)\*/g))
        t.ok(read(file).includes(title), `${file}: ${title}`)
  }
})

t.test('docs/reliability-matrix.md has a row for each fault, and each of them holds', async t => {
  const page = read('docs/reliability-matrix.md')
  for (const { name, rows } of faultedSystems) {
    const table = page.slice(page.indexOf(`<!-- ${name} -->`), page.indexOf(`<!-- /${name} -->`)).split('\n')
    const faults = table.slice(3, -1).map(row => row.split('|')[1]?.trim())
    t.strictSame(
      faults,
      rows.map(({ fault }) => fault),
    )
  }
  t.notMatch(page, /does not hold|not run/)
})

t.test('commands in the pages exist', async t => {
  const text = pages.map(read).join('\n')
  const wanted = [...text.matchAll(/npm run (?:--silent )?([a-z:]+)/g)].map(([, script = '']) => script)
  t.ok(wanted.includes('sandbox') && scripts.includes('test'))
  t.strictSame(
    [...new Set(wanted)].filter(script => !scripts.includes(script)),
    [],
  )
  const scenarios = [...text.matchAll(/npm run scenario -- ([a-z-]+)/g)].map(([, name = '']) => name)
  t.strictSame(
    scenarios.filter(name => !isScenarioName(name)),
    [],
  )
  const commands = [
    ...text.matchAll(
      /driftwatch (?:-- )?(check|serve|config|migrate|deploy|grants (?:plan|apply|snapshot)|alerts)((?: +--[a-z-]+(?:[ =][\w./"$-]+)?)*)/g,
    ),
  ]
  for (const [command, name = '', options = ''] of commands) {
    const { stdout } = await run(...name.split(' '), '--help')
    for (const [option] of options.matchAll(/--[a-z-]+/g)) t.match(stdout, option, command)
  }
})

t.test('each rule of the runbook has a check with a page, and scenarios in which that check drifts', async t => {
  const [, part = ''] = read('docs/runbook.md').split('## Each rule, and what breaks it\n')
  const [table = ''] = part.split('\n## ')
  const rules = [...table.matchAll(/^\| (.+) \| (\[.+) \| (`.+) \|$/gm)]
  const watching = rules.map(([, rule = '', watched = '', broken = '']) => {
    const check = /^\[([a-z-]+)\]\(checks\/\1\.md\)/.exec(watched)?.[1] ?? ''
    for (const [, name = ''] of broken.matchAll(/`([a-z-]+)`/g))
      t.equal(isScenarioName(name) && readScenario(name).expect[check], 'drifted', `${rule} ${check}, ${name}`)
    return check
  })
  t.strictSame([...new Set(watching)].sort(), [...checkKinds].sort(), 'and no check watches what is no rule')
})

t.test('what the pages quote of findings and logs is what the code says', async t => {
  const [text, source] = [pages, list('src/**/*.ts')].map(paths => paths.map(read).join('\n')) as [string, string]
  for (const words of ['compared by tag only', 'The check drifted before this rollout', 'a look failed']) {
    t.match(text, `\`${words}`, 'the pages quote it')
    t.match(source, words)
  }
})

t.test('the example configs are valid', async t => {
  const configs = [...list('deploy/*.yaml'), 'sandbox/driftwatch.yaml']
  t.ok(configs.includes('deploy/openagents-runtime.yaml'))
  for (const file of configs) {
    t.match(await run('config', '--config', join(top, file)), { code: 0, stdout: 'stacks:' }, file)
  }
})

t.test('the config in the README is valid', async t => {
  const config = /```yaml\n(.*?)```/s.exec(read('README.md'))?.[1] ?? ''
  const directory = t.testdir({ 'driftwatch.yaml': config })
  t.match(await run('config', '--config', join(directory, 'driftwatch.yaml')), { code: 0, stdout: 'acme-production' })
})

t.test('the decision records say what one must', async t => {
  const records = list('docs/decisions/*.md')
  const number = (path: string) => Number(path.slice('docs/decisions/'.length, 'docs/decisions/0000'.length))
  t.strictSame(
    records.map(number),
    [...new Set(records.map(number))].sort((one, other) => one - other),
    'each with a number of its own',
  )
  const linked = read('docs/architecture.md').matchAll(/\]\((decisions\/[^)]+)\)/g)
  const index = new Set([...linked].map(([, path]) => `docs/${path}`))
  t.strictSame(
    records.filter(path => !index.has(path)),
    [],
    'each is linked from docs/architecture.md',
  )
  for (const path of records) {
    const parts = [...read(path).matchAll(/^\*\*(\w+)\.\*\*/gm)].map(([, part]) => part)
    t.strictSame(parts, ['Context', 'Decision', 'Consequences', 'Alternatives'], path)
  }
})

/** Runs a command of Driftwatch in this process, in an environment without variables. */
async function run(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const texts = { stdout: '', stderr: '' }
  const stream = (name: keyof typeof texts) => ({
    write(text: string) {
      texts[name] += text
    },
  })
  const code = await runCli(argv, {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    variables: {},
    clock: systemClock,
    nodeVersion: process.version,
    signal: new AbortController().signal,
  })
  return { code, ...texts }
}
