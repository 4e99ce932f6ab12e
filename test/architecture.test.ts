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

/** The rank of each word of a line of docs/architecture.md; words in braces share one. */
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

/** The imports between parts of a folder that the folder's line does not allow. */
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

  t.test(`a file of ${folder}/ imports only from its own folder and from those to its left`, async t => {
    t.ok(crossing(imports, folder).length > least, 'the imports are found')
    t.strictSame(wrongWay(imports, folder), [])
  })
}

t.test('an import against a line is found', async t => {
  const allowed = { from: 'src/clients/monitoring/a.ts', to: 'src/clients/google/b.ts' }
  const wrong = { from: allowed.to, to: allowed.from }
  t.strictSame(wrongWay([allowed, wrong], 'src/clients'), [`${wrong.from} imports ${wrong.to}`])
})

t.test('no folder of src/ has more than 16 files, except one for each implementation of an interface', async t => {
  const implementations = ['src/checks', 'src/probes']
  const files = globSync('src/**/*.ts', { cwd: top })
  const folders = Map.groupBy(files, dirname)
  const crowded = [...folders].filter(([folder, inside]) => inside.length > 16 && !implementations.includes(folder))
  t.strictSame(
    crowded.map(([folder]) => folder),
    [],
  )
})

/** The files that import themselves through others, by types too. */
function inCircles(all: readonly Import[]): string[] {
  const targets = Map.groupBy(all, ({ from }) => from)
  return [...targets.keys()].filter(file => {
    const reached = new Set([file])
    for (const next of reached) {
      for (const { to } of targets.get(next) ?? []) {
        if (to === file) return true
        reached.add(to)
      }
    }
    return false
  })
}

t.test('no file imports itself through others, not even by types', async t => {
  t.strictSame(inCircles(imports), [])
  const [a, b, c] = ['src/a.ts', 'src/b.ts', 'src/c.ts'] as const
  const circle = [
    { from: a, to: b },
    { from: b, to: c },
    { from: c, to: b },
  ]
  t.strictSame(inCircles(circle), [b, c])
})

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

t.test('the SQL that changes roles and privileges is written in one file', async t => {
  const writers = globSync('src/**/*.ts', { cwd: top }).filter(file =>
    /`(?:GRANT|REVOKE|ALTER|CREATE|SET LOCAL) (?:ROLE|[^`]*\$\{quote)/.test(read(file)),
  )
  t.strictSame(writers, ['src/grants/plan/statements.ts'])
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
  t.match(read('src/clients/cloud-run/cloud-run-writer.ts'), writing, 'such a method is found')
  t.strictSame(
    [...reached].filter(file => file.startsWith('src/clients/') && writing.test(read(file))),
    [],
  )
})

/** The top-level statements of a source text: each from a line without indentation to the next one that opens a statement. */
function topLevelStatements(source: string): string[] {
  const code = source.replaceAll(/^\s*(?:\/\*.*?\*\/|\/\/[^\n]*)$/gms, '')
  return code.split(/^(?=[^\s)\]}])/m)
}

/** Whether a statement calls the function that it declares, such as `const next = (() => { ... })()`. */
function runsAtOnce(statement: string): boolean {
  return (
    /^[^=]*=\s*(await\s*)?\(+\s*(async\s*)?(\(|function|\w+ =>)/.test(statement) && /\}\)\(.*\)\s*$/s.test(statement)
  )
}

/** The part of a declaration that runs when the module loads, up to its first function and without strings. */
function loadedPart(statement: string): string {
  const code = statement.replaceAll(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`[^`]*`/g, "''")
  return code.split(/=>\s*(?!\s*[^={]*=)|\bfunction\b|\)\s*(?::[^={]*)?\{/, 1)[0] ?? ''
}

/** Classes whose objects do not change (a URL is only an argument), functions of src/ that return constants, and functions that return new objects. */
const immutable = /(?<=\()new URL\b|\bnew (?:RegExp|TextEncoder|TextDecoder|Intl\.\w+)\b/g
const pure = ['rightOf', 'rightsOf', 'withOptions', 'list']
const fresh = /^(?:Object\.(?:keys|values|entries)|JSON\.parse|\w+\.map)$/
const readonlyType = /^[^=]*:\s*(?:readonly |Readonly(?:Map|Set|Array)?<|Partial<Readonly<)/
const staticVariable = /^\s+.*\bstatic (?:(?!readonly\b)#?\w+\s*[:=]|[^=(\n]*=\s*(?:new\b|create|\[|\{))/m

/** The interfaces of a source text with a property that may be assigned. */
function mutableInterfaces(source: string): string[] {
  const interfaces = source.matchAll(/^(?:export )?interface (\w+)[^{\n]*\{\n(.*?)^\}/gms)
  return [...interfaces]
    .filter(([, , body = '']) => /^ {2}(?!readonly )\w+\??:/m.test(body))
    .map(([, name = '']) => name)
}

/** Whether the type of a constant forbids to change its value. */
function isReadonly(statement: string, mutable: readonly string[]): boolean {
  const isConstant = /\bas const(?: satisfies .*)?$/s.test(statement.trimEnd())
  const [, type = ''] = /^[^=]*?:\s*([A-Z]\w*)\b(?:<[^=]*>)?\s*=/.exec(statement) ?? []
  const isGeneric = ['Record', 'Partial', 'Pick', 'Omit', 'Array', 'Map', 'Set', 'WeakMap', 'WeakSet'].includes(type)
  return isConstant || readonlyType.test(statement) || (type !== '' && !isGeneric && !mutable.includes(type))
}

/** Whether a constant holds an object that can change. */
function holdsState(statement: string, mutable: readonly string[]): boolean {
  if (runsAtOnce(statement)) return true
  const loaded = loadedPart(statement).replaceAll(immutable, '')
  const value = loaded.slice(loaded.search(/=(?!>)/) + 1).trimStart()
  if (/\bnew\b/.test(value) && !(readonlyType.test(statement) && /^new (?:Set|Map)\b/.test(value))) return true
  if (/(?<![\w.])(?:\w+\.)*(?:create|make|start|open|build)(?:[A-Z]\w*)?(?:<[^()]*>)?\(/.test(value)) return true
  const [, called] = /^(?:await )?([\w$.]+)(?:<[^()]*>)?\(/.exec(value) ?? []
  if (called !== undefined && !pure.includes(called) && !fresh.test(called)) return true
  if (/^[\w.]+\(.*\.join\([^()]*\)$/s.test(statement.slice(statement.indexOf('=') + 1).trim())) return false
  return (/^[[{]/.test(value) || fresh.test(called ?? '')) && !isReadonly(statement, mutable)
}

/** The names of a module that hold state: variables, and constants with objects that can change. */
function moduleState(source: string, mutable: readonly string[] = mutableInterfaces(source)): string[] {
  return topLevelStatements(source).flatMap(statement => {
    const [, kind = '', name = ''] =
      /^(?:export )?(?:async )?(let|var|const|class|function)\*?\s+([\w$]+|[{[].*?[}\]])/s.exec(statement) ?? []
    const isState = {
      let: () => true,
      var: () => true,
      class: () => staticVariable.test(statement),
      function: () => isChanged(name, source),
      const: () => isChanged(name, source) || holdsState(statement, mutable),
    }[kind]
    return isState?.() ? [name] : []
  })
}

/** Whether a module changes the object that a constant holds: by a method, by assigning to a part of it, or by a cast. */
function isChanged(name: string, source: string): boolean {
  const part = String.raw`(?:\.\w+|\[[^\]]*\])`
  const object = String.raw`(?<![\w.])${name}${part}*`
  const changes = [
    String.raw`${object}\.(?:push|pop|shift|unshift|splice|sort|reverse|fill|copyWithin|set|add|delete|clear)\(`,
    String.raw`${object}${part}\s*(?:[-+*/|&?]{0,2}=(?![=>])|\+\+|--)`,
    `delete ${object}${part}`,
    String.raw`Object\.assign\(${object}\b`,
    String.raw`${object} as (?!const\b|readonly |Readonly)`,
  ]
  return /^\w+$/.test(name) && changes.some(change => new RegExp(change).test(source))
}

t.test('no module of src/ has mutable state at its top level', async t => {
  const programs = ['src/start.ts', 'src/config/file/compile-validator.ts']
  const files = globSync('src/**/*.ts', { cwd: top, exclude: programs })
  const mutable = mutableInterfaces(files.map(read).join('\n'))
  const found = files.flatMap(file => moduleState(read(file), mutable).map(name => `${file}: ${name}`))
  t.strictSame(found, [])
})

t.test('mutable state at the top level of a module is found', async t => {
  const states = [
    'let last = 0',
    'export let last: number | null = null',
    'const last = new Map<string, number>()',
    'const last: Map<string, number> = new Map()',
    'const last = new WeakMap<object, string>()',
    'export const last = new LRUCache({\n  max: 3,\n})',
    'const last = {\n  byName: new Map(),\n}',
    'const last = (() => {\n  const cache = new Map()\n  return (key: string) => cache.get(key)\n})()',
    'const last: string[] = []\nfunction add(text: string) {\n  last.push(text)\n}',
    'const last = { count: 0 }\nfunction count() {\n  last.count += 1\n}',
    'const last: Record<string, number> = {}\nfunction put(key: string) {\n  last[key] = 1\n}',
    'const last = []\nfunction put() {\n  last[0]++\n}',
    'class last {\n  static count = 0\n}',
    'class last {\n  static readonly names = new Set()\n}',
    'const last = createBoundedCache(10)\nfunction put() {\n  last.put(1)\n}',
    'const last = createFairQueue(32)',
    'const last = queues.create(32)',
    'const last = new AbortController()',
    'const last = { value: null }\nfunction put() {\n  const alias = last\n  alias.value = 1\n}',
    'export const last = { last: 0 }',
    'interface Last {\n  value: number\n}\nconst last: Last = { value: 0 }',
    'const last: Record<string, number> = {}',
    "const last = ['a']",
    "const last = JSON.parse('{}')",
    "const last: ReadonlyMap<string, string> = new Map()\n;(last as Map<string, string>).set('a', 'b')",
    'const last = (function* () {\n  let count = 0\n  while (true) yield count++\n})()',
    'function* count() {\n  yield 1\n}\nconst last = count()',
    'function last() {\n  last.count += 1\n}',
  ]
  for (const source of states) t.strictSame(moduleState(`import x from 'x'\n${source}\n`), ['last'], source)
  const constants = [
    "const words: ReadonlySet<string> = new Set(['a'])",
    'export const words: ReadonlyMap<string, string> = new Map([\n  [`a`, `b`],\n])',
    'const words = [1, 2] as const\nconst other = words.length === 2',
    'const create = () => new Map<string, number>()',
    'const create = (name: string): Map<string, string> => {\n  const all = new Map()\n  all.set(name, name)\n  return all\n}',
    'function create() {\n  let last = 0\n  const all = new Set()\n  return () => all.add(last++)\n}',
    'export const makers = {\n  a: () => new Map(),\n} as const',
    'class Store {\n  static readonly limit = 3\n  static of() {\n    return new Store()\n  }\n}',
    "// let last = 0\n/** new Map() */\nconst words = '*/*'",
  ]
  for (const source of constants) t.strictSame(moduleState(source), [], source)
})

t.test('no two files of src/ export the same name, nor two of sandbox/', async t => {
  const declared = /^export (?:async )?(?:function\*?|const|interface|type|class) (\w+)/gm
  for (const [folder, least] of [
    ['src', 500],
    ['sandbox', 50],
  ] as const) {
    const names = globSync(`${folder}/**/*.ts`, { cwd: top }).flatMap(file =>
      [...read(file).matchAll(declared)].map(([, name = '']) => name),
    )
    t.ok(names.length > least, 'the exports are found')
    t.strictSame(
      names.filter((name, at) => names.indexOf(name) !== at),
      [],
    )
  }
})

/** A command that a person would paste. */
const command = /\b(?:gcloud [a-z]+ |curl -|driftwatch (?:migrate|deploy|grants|check)\b)/

t.test('only remedies/ writes fixes: no check contains a command', async t => {
  t.match("fix: 'gcloud run jobs update'", command)
  const hasCommand = (code: string) => command.test(code) || /\bfix: (?:\(|'|`)/.test(code)
  t.ok(hasCommand("fix: 'help'"))
  t.strictSame(
    globSync('src/{checks,probes,drift,report,release}/**/*.ts', { cwd: top }).filter(file =>
      hasCommand(read(file).replaceAll(/\/\*.*?\*\/|\/\/[^\n]*/gs, '')),
    ),
    [],
  )
})
