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
const manifest = JSON.parse(read('package.json')) as { scripts: object; devDependencies: { node: string } }
const scripts = Object.keys(manifest.scripts)

/** The cells of every row of the tables on a page whose first cell is code. */
function rowsOf(page: string): string[][] {
  return [...page.matchAll(/^\| (`.*) \|$/gm)].map(([, row = '']) => row.split(' | ').map(cell => cell.trim()))
}

const unquoted = (cell = '') => cell.replaceAll('`', '')

t.test('docs/errors.md lists every error code, in the order of the code, with its properties', async t => {
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
    'and each has a remedy',
  )
})

t.test('every check has a page, and every page belongs to a check', async t => {
  t.strictSame(
    list('docs/checks/*.md').map(path => path.replace(/^docs\/checks\/|\.md$/g, '')),
    [...checkKinds].sort(),
  )
})

interface ExpectedFindings {
  readonly checks: Readonly<Record<string, { readonly differences?: readonly { readonly path: string }[] }>>
}

/** test/docs/database-examples.test.ts covers the checks of databases. */
const cloudRunChecks = ['service-image', 'job-image', 'migration-execution'] as const satisfies readonly CheckKind[]

for (const check of cloudRunChecks) {
  t.test(`the page of ${check} explains exactly the differences of its cases`, async t => {
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

/** These checks have no case folders. Their pages are compared with their examples. */
for (const check of ['image-lanes', 'after-rollout', 'http-contract'] as const satisfies readonly CheckKind[]) {
  t.test(`the page of ${check} explains the differences of its example`, async t => {
    const page = read(`docs/checks/${check}.md`)
    const example = JSON.parse(/```json\n(.*?)```/s.exec(page)?.[1] ?? 'null') as ExpectedFindings['checks'][string]
    explained(t, page, example.differences ?? [])
  })
}

for (const check of checkKinds) {
  const page = read(`docs/checks/${check}.md`)

  t.test(`the page of ${check} names only existing error codes`, async t => {
    const codes = [...page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, code = '']) => code)
    t.ok(codes.length > 0)
    t.strictSame(
      codes.filter(code => !(code in errorTable)),
      [],
    )
  })

  t.test(`the page of ${check} shows a valid finding`, async t => {
    const example = JSON.parse(/```json\n(.*?)```/s.exec(page)?.[1] ?? 'null') as { check: CheckKind }
    const valid = new Ajv({ allowUnionTypes: true, formats: { 'date-time': true } }).compile(
      reportSchema.properties.stacks.items.properties.checks.items,
    )
    t.ok(valid(example), JSON.stringify(valid.errors))
    const { fix } = example as { fix?: string | null }
    t.match(example, { check, status: 'drifted', differences: [{ path: String }], advice: /^[A-Z].*\.$/ })
    t.match(fix ?? 'curl ', /^(gcloud|driftwatch|curl) /)
  })
}

/** A row such as `<service>.errorLogs` explains paths that contain names of the configuration. */
function explained(t: Test, page: string, shown: readonly { readonly path: string }[]): void {
  const rows = rowsOf(page).map(([path = '']) => new RegExp(`^${unquoted(path).replaceAll(/<[a-z]+>/g, '.+')}$`))
  t.ok(shown.length > 0)
  for (const { path } of shown)
    t.ok(
      rows.some(row => row.test(path)),
      path,
    )
}

t.test('the examples in the docs equal the output in the sandbox', async t => {
  const fresh = await pagesWithExamples()
  t.ok(fresh.size > cloudRunChecks.length, 'at least the pages of these checks and the README')
  for (const [path, text] of fresh) t.equal(read(path), text, `${path}: run npm run docs`)
})

t.test('links between pages have an existing target', async t => {
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

/** Whether a page has the heading of an anchor, in GitHub's form. */
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

/** Paths, and names of TypeScript files, as texts mention them. A placeholder such as `<check>` stands for any name. */
function mentionedPaths(text: string): string[] {
  const inRepository = /(?<![\w./@:-])(?:src|test|sandbox|bench|docs|deploy)\/[\w.*<>-]*(?:\/[\w.*<>-]+)*/g
  const byName = /(?<![\w./@:*<>-])[\w*<>-]+(?:\/[\w*<>.-]+)*\.ts\b/g
  const found = [...text.matchAll(inRepository), ...text.matchAll(byName)].map(([path]) => path.replace(/[./-]+$/, ''))
  return [...new Set(found)].map(path => path.replaceAll(/<\w+>/g, '*'))
}

const filesAndFolders = [...list('*.*'), ...list('{src,test,sandbox,bench,docs,deploy}/**')].join('\n')

/** The mentioned paths that neither exist nor are the end of an existing path. `*` stands for a name, `**` for folders. */
function missingPaths(text: string): string[] {
  return mentionedPaths(text).filter(path => {
    const pattern = path.replaceAll('.', '\\.').replaceAll(/\*+/g, stars => (stars === '*' ? '[^/\\n]*' : '.*'))
    return !new RegExp(`(^|/)${pattern}$`, 'm').test(filesAndFolders)
  })
}

/** A source file without its code. */
const commentsOf = (source: string) =>
  [...source.matchAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm)].map(([comment]) => comment).join('\n')

t.test('the paths that pages and comments of the source mention exist', async t => {
  t.strictSame(
    missingPaths('`src/attic/gone.ts` `docs/gone/` `attic/app.ts` `gone.ts` `test/fixtures/checks/gone-*`').sort(),
    ['attic/app.ts', 'docs/gone', 'gone.ts', 'src/attic/gone.ts', 'test/fixtures/checks/gone-*'],
  )
  t.strictSame(
    missingPaths('`src/http/app.ts`, `docs/checks/<check>.md`, `http/app.ts`, src/drift/ and `judge-*.ts`.'),
    [],
  )
  const texts = [
    ...pages.map(page => [page, read(page)] as const),
    ...list('src/**/*.ts').map(file => [file, commentsOf(read(file))] as const),
  ]
  t.strictSame(
    texts.flatMap(([file, text]) => missingPaths(text).map(path => `${file}: ${path}`)),
    [],
  )
})

t.test('costs equal those of the examples of Google', async t => {
  const evaluations = (30 * 86_400) / 30
  t.equal(evaluationCost(100, evaluations, { millionSeries: 0.35 }).toFixed(2), '3.02', '100 series in one condition')
})

t.test('every page is reachable from the README', async t => {
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

t.test('docs/reliability-matrix.md has a passing row for each fault', async t => {
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

t.test('each rule of the runbook has a check with a page, and scenarios in which the check drifts', async t => {
  const [, part = ''] = read('docs/runbook.md').split('## Each rule, and what breaks it\n')
  const [table = ''] = part.split('\n## ')
  const rules = [...table.matchAll(/^\| (.+) \| (\[.+) \| (`.+) \|$/gm)]
  const watching = rules.map(([, rule = '', watched = '', broken = '']) => {
    const check = /^\[([a-z-]+)\]\(checks\/\1\.md\)/.exec(watched)?.[1] ?? ''
    for (const [, name = ''] of broken.matchAll(/`([a-z-]+)`/g))
      t.equal(isScenarioName(name) && readScenario(name).expect[check], 'drifted', `${rule} ${check}, ${name}`)
    return check
  })
  t.strictSame([...new Set(watching)].sort(), [...checkKinds].sort(), 'every check belongs to a rule')
})

t.test('messages that pages quote exist in the code', async t => {
  const [text, source] = [pages, list('src/**/*.ts')].map(paths => paths.map(read).join('\n')) as [string, string]
  for (const words of ['Compared by tag only', 'The check drifted before this rollout', 'probe failed']) {
    t.match(text, `\`${words}`, 'the pages quote it')
    t.match(source, words)
  }
})

t.test('.node-version names the version of Node.js that package.json installs', async t => {
  t.equal(read('.node-version').trim(), manifest.devDependencies.node)
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

interface DecisionRecord {
  readonly path: string
  readonly number: string
  readonly title: string
  readonly status: string
  readonly date: string
}

const decisionRecords: readonly DecisionRecord[] = list('docs/decisions/[0-9]*.md').map(path => {
  const [, number = '', title = ''] = /^# (\d{4}): (.+)$/m.exec(read(path)) ?? []
  const [, status = ''] = /^- Status: (.+)$/m.exec(read(path)) ?? []
  const [, date = ''] = /^- Date: (\d{4}-\d\d-\d\d)$/m.exec(read(path)) ?? []
  return { path, number, title, status, date }
})

t.test('every decision record has a number of its own, a title, a status, a date and the four sections', async t => {
  t.ok(decisionRecords.length > 30)
  const numbers = new Set(decisionRecords.map(({ number }) => number))
  t.equal(numbers.size, decisionRecords.length, 'numbers are unique')
  for (const { path, number, title, status, date } of decisionRecords) {
    t.ok(path.startsWith(`docs/decisions/${number}-`), `${path} begins with the number of its title`)
    t.ok(title && date, path)
    t.match(status, /^(accepted|superseded by \d{4})$/, path)
    const successor = /\d{4}$/.exec(status)?.[0]
    if (successor) t.ok(numbers.has(successor), `${path}: ${status}`)
    const sections = [...read(path).matchAll(/^## (.+)$/gm)].map(([, section]) => section)
    t.strictSame(sections, ['Context', 'Decision', 'Consequences', 'Alternatives'], path)
  }
})

t.test('the index of decision records lists each of them with its title, status and date', async t => {
  const rows = [...read('docs/decisions/README.md').matchAll(/^\| (\d{4}) \| \[(.+)\]\((.+)\) \| (.+) \| (.+) \|$/gm)]
  t.strictSame(
    rows.map(([, number, title, file, status = '', date]) => ({
      path: `docs/decisions/${file}`,
      number,
      title,
      status: status.replace(/\[(\d{4})\]\(\1-.+\)/, '$1'),
      date,
    })),
    decisionRecords,
  )
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
