import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const top = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(join(top, file), 'utf8')

interface Import {
  readonly from: string
  readonly to: string
}

/** Every import of a file by a path, static or not, type or value. */
const imports: readonly Import[] = globSync('{src,sandbox}/**/*.ts', { cwd: top }).flatMap(from =>
  [...read(from).matchAll(/(?:\bfrom|\bimport|\bimport\(|new URL\()\s*'(\.[^']*)'/g)].map(([, path = '']) => ({
    from,
    to: normalize(join(dirname(from), path)),
  })),
)

/** The folder or file of `folder` that a path belongs to: in `src`, `src/http/app.ts` to `http`, `src/watch.ts` to `watch`. */
function roomOf(path: string, folder: string): string {
  const [first = ''] = path.slice(folder.length + 1).split('/')
  return first.replace(/\.ts$/, '')
}

/** The rank of each word of a line of docs/architecture.md: what stands in braces shares one. */
function readRanks(line: string): Map<string, number> {
  const words = line.match(/\{[^}]*\}|[a-z]+(-[a-z]+)*/g) ?? []
  return new Map(
    words.flatMap((word, rank) => (word.match(/[a-z]+(-[a-z]+)*/g) ?? []).map(name => [name, rank] as const)),
  )
}

const page = read('docs/architecture.md')
const lines: Readonly<Record<string, string>> = {
  src: /```\n(errors .*? main)\n```/s.exec(page)?.[1] ?? '',
  'src/grants': /^grants: (.*)$/m.exec(page)?.[1] ?? '',
  'src/clients': /^clients: (.*)$/m.exec(page)?.[1] ?? '',
}

/** The imports from one room of a folder to another that the folder's line does not allow. */
function wrongWay(all: readonly Import[], folder: string): string[] {
  const ranks = readRanks(lines[folder] ?? '')
  const rank = (path: string) => ranks.get(roomOf(path, folder)) ?? Number.NaN
  return crossing(all, folder)
    .filter(({ from, to }) => !(rank(to) < rank(from)))
    .map(({ from, to }) => `${from} imports ${to}`)
}

function crossing(all: readonly Import[], folder: string): Import[] {
  const isInside = (path: string) => path.startsWith(`${folder}/`)
  return all.filter(({ from, to }) => isInside(from) && isInside(to) && roomOf(from, folder) !== roomOf(to, folder))
}

for (const [folder, least] of [
  ['src', 100],
  ['src/grants', 20],
  ['src/clients', 8],
] as const) {
  t.test(`every folder and file of ${folder}/ has its place in its line of docs/architecture.md`, async t => {
    const rooms = new Set(globSync(`${folder}/**/*.ts`, { cwd: top }).map(path => roomOf(path, folder)))
    t.strictSame([...readRanks(lines[folder] ?? '').keys()].sort(), [...rooms].sort())
  })

  t.test(`a file of ${folder}/ imports only from its own folder and from what stands to its left`, async t => {
    t.ok(crossing(imports, folder).length > least, 'the imports are seen')
    t.strictSame(wrongWay(imports, folder), [])
  })
}

t.test('an import against a line would be seen', async t => {
  const allowed = { from: 'src/clients/monitoring/a.ts', to: 'src/clients/google/b.ts' }
  const wrong = { from: allowed.to, to: allowed.from }
  t.strictSame(wrongWay([allowed, wrong], 'src/clients'), [`${wrong.from} imports ${wrong.to}`])
})

t.test(
  'no folder of src/ has more than 16 files side by side, but one for each implementation of an interface',
  async t => {
    const implementations = ['src/checks', 'src/probes']
    const files = globSync('src/**/*.ts', { cwd: top })
    const folders = Map.groupBy(files, dirname)
    const crowded = [...folders].filter(([folder, inside]) => inside.length > 16 && !implementations.includes(folder))
    t.strictSame(
      crowded.map(([folder]) => folder),
      [],
    )
  },
)

t.test('src/ and sandbox/ never import each other', async t => {
  const across = imports.filter(
    ({ from, to }) => /^(src|sandbox)\//.test(to) && from.split('/')[0] !== to.split('/')[0],
  )
  t.strictSame(
    across.map(({ from, to }) => `${from} imports ${to}`),
    [],
  )
})

t.test('src/ imports nothing of tests, benchmarks and docs', async t => {
  const beyond = imports.filter(({ from, to }) => from.startsWith('src/') && !/^(src\/|package\.json$)/.test(to))
  t.strictSame(beyond, [])
})

t.test('the environment is read in one file', async t => {
  const readers = globSync('src/**/*.ts', { cwd: top }).filter(file =>
    /process\s*\.\s*env|\benv\b.*from 'node:process'/.test(read(file)),
  )
  t.strictSame(readers, ['src/config/environment.ts'])
})

/** Imports of clients that write by others than `operate`. */
function strayWriters(all: readonly Import[]): string[] {
  const writers = all.filter(({ to }) => /^src\/clients\/.*-writer\.ts$/.test(to))
  return writers.filter(({ from }) => !from.startsWith('src/operate/')).map(({ from, to }) => `${from} imports ${to}`)
}

t.test('only operate imports clients that write', async t => {
  t.strictSame(strayWriters(imports), [])
  const writer = 'src/clients/monitoring/monitoring-writer.ts'
  const allowed = { from: 'src/operate/policies.ts', to: writer }
  t.strictSame(strayWriters([allowed, { from: 'src/watch.ts', to: writer }]), [`src/watch.ts imports ${writer}`])
})

t.test('serve can load one writer: that of alert policies', async t => {
  const reached = new Set(['src/cli/serve.ts'])
  for (const file of reached) for (const { from, to } of imports) if (from === file) reached.add(to)
  t.ok(reached.size > 50, 'the imports are followed')
  t.strictSame(
    [...reached].filter(file => file.endsWith('-writer.ts')),
    ['src/clients/monitoring/monitoring-writer.ts'],
  )
  const writers = imports.filter(({ to }) => to.endsWith('-writer.ts')).map(({ from }) => from)
  t.ok(writers.length > 0 && writers.every(from => from.startsWith('src/operate/')))
})

t.test('what serve can load calls no method that changes Cloud Run', async t => {
  const reached = new Set(['src/cli/serve.ts'])
  for (const file of reached) for (const { from, to } of imports) if (from === file) reached.add(to)
  const writing =
    /\b(create|update|delete|replace|run|cancel)(Service|Job|Revision|Execution|Task)s?\s*\(|\bsetIamPolicy\b/
  t.match(read('src/clients/cloud-run/cloud-run-writer.ts'), writing, 'such a method would be seen')
  t.strictSame(
    [...reached].filter(file => file.startsWith('src/clients/') && writing.test(read(file))),
    [],
  )
})
