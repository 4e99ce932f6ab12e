import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  visit,
  type YAMLMap,
} from 'yaml'
import { type ConfigPath, formatPath, type Problem } from '../problem.ts'
import { escapeReferences, unescapeReferences } from './escape-references.ts'
import { interpolate, isInterpolated, type Variables } from './interpolate.ts'
import { describeYamlError } from './yaml-errors.ts'

/** The data of a YAML text, and the position of each value. */
export interface YamlSource {
  /** Maps, lists and texts. The schema converts texts to other types. */
  readonly data: unknown
  readonly problems: readonly Problem[]
  /** The line and column, from 1, of a value or key. For a missing value: of the nearest value around it. */
  position(problem: Pick<Problem, 'path' | 'at'>): { readonly line: number; readonly column: number }
  /** The text in the file, with variables unresolved; null if the value is not a text. */
  written(path: ConfigPath): string | null
}

/** The offsets of a value and its key, and its text. */
interface Place {
  readonly value: number
  readonly key: number
  readonly written: string | null
}

interface Reading {
  /** The node that each alias refers to. */
  readonly targets: ReadonlyMap<Alias, Node>
  readonly variables: Variables
  readonly problems: Problem[]
  readonly places: Map<string, Place>
  /** The number of values read so far, including those repeated by aliases. */
  values: number
}

/** Enough for thousands of stacks, but stops aliases that multiply ("billion laughs"). */
const maxValues = 200_000
const maxDepth = 64

/** Reads one YAML document. Variables are resolved after parsing, so their values cannot change its structure. */
export function readYaml(text: string, variables: Variables): YamlSource {
  const lineCounter = new LineCounter()
  const document = parseDocument(escapeReferences(text), {
    schema: 'failsafe',
    uniqueKeys: false,
    prettyErrors: false,
    lineCounter,
  })
  const problems = syntaxProblems(document, lineCounter)
  const places = new Map<string, Place>()
  const reading = { targets: aliasTargets(document), variables, problems, places, values: 0 }
  const data = problems.length > 0 ? null : readValue(reading, document.contents, [], 0)
  if (data === '' && problems.length === 0) report(reading, [], 'value', 'the file is empty: add at least one stack')
  return {
    data,
    problems,
    position({ path, at }) {
      const { line, col } = lineCounter.linePos(typeof at === 'number' ? at : offsetOf(places, path, at))
      return { line: Math.max(1, line), column: Math.max(1, col) }
    },
    written: path => places.get(formatPath(path))?.written ?? null,
  }
}

/** One problem for each line: one mistake can confuse the parser several times. */
function syntaxProblems({ errors }: Document, { linePos }: LineCounter): Problem[] {
  const lines = Map.groupBy(errors, ({ pos: [at] }) => linePos(at).line)
  return [...lines.values()].flatMap(([first]) =>
    first ? [{ path: [], at: first.pos[0], message: describeYamlError(first.code, first.message) }] : [],
  )
}

/** Resolves all aliases in file order: an alias refers to the last anchor of its name before it. */
function aliasTargets(document: Document): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>()
  const targets = new Map<Alias, Node>()
  visit(document, {
    Node(_, node) {
      const target = isAlias(node) ? anchors.get(node.source) : undefined
      if (isAlias(node) && target) targets.set(node, target)
      else if (!isAlias(node) && node.anchor) anchors.set(node.anchor, node)
    },
  })
  return targets
}

function report(reading: Reading, path: ConfigPath, at: Problem['at'], message: string): '' {
  reading.problems.push({ path, at, message })
  return ''
}

function readValue(reading: Reading, node: Node | null, path: ConfigPath, key: number): unknown {
  const value = node?.range?.[0] ?? key
  reading.places.set(formatPath(path), {
    value,
    key,
    written: isScalar(node) ? unescapeReferences(node.source ?? '') : null,
  })
  if (++reading.values > maxValues || path.length > maxDepth) return tooMuch(reading)
  if (isAlias(node)) return readAlias(reading, node, path, key)
  if (node?.tag) return report(reading, path, 'value', 'YAML tags (!...) are not supported: remove it')
  if (isMap(node)) return Object.fromEntries(readMap(reading, node, path))
  if (isSeq(node))
    return node.items.map((item, index) => readValue(reading, item as Node | null, [...path, index], value))
  return isScalar(node) ? readScalar(reading, node, path) : ''
}

/** Reported once, because it concerns the whole file. */
function tooMuch(reading: Reading): '' {
  const reported = reading.problems.some(problem => problem.path.length === 0)
  return reported
    ? ''
    : report(reading, [], 'value', 'the file is too deep or too large after its aliases are expanded')
}

function readAlias(reading: Reading, alias: Alias, path: ConfigPath, key: number): unknown {
  const target = reading.targets.get(alias)
  if (!target) return report(reading, path, 'value', 'unknown alias: no anchor with this name above it')
  return readValue(reading, target, path, key)
}

/** The entries of a map. Its own entries take precedence over those merged by `<<`. */
function readMap(reading: Reading, map: YAMLMap, path: ConfigPath): Map<string, unknown> {
  const entries = map.items.map(({ key, value }) => ({ key: key as Node | null, value: value as Node | null }))
  const merges = entries.filter(({ key }) => keyText(key) === '<<')
  const merged = merges.flatMap(({ value }) => readMerge(reading, value, path))
  const own = new Map<string, unknown>()
  for (const { key, value } of entries.filter(entry => !merges.includes(entry))) {
    const name = keyText(key)
    const keyPath = [...path, name]
    const content = readValue(reading, value, keyPath, key?.range?.[0] ?? 0)
    if (own.has(name)) report(reading, keyPath, 'key', 'duplicate key: remove one of them')
    if (isInterpolated(name)) report(reading, keyPath, 'key', 'variables are supported only in values, not in keys')
    own.set(name, content)
  }
  return new Map([...merged.reverse(), ...own])
}

function keyText(key: Node | null): string {
  return unescapeReferences(isScalar(key) ? (key.source ?? '') : String(key))
}

/** The entries that `<<` merges: of a map, or of a list of maps in order of precedence. */
function readMerge(reading: Reading, node: Node | null, path: ConfigPath): [string, unknown][] {
  if (isSeq(node)) return node.items.flatMap(item => readMerge(reading, item as Node | null, path))
  const place = formatPath(path)
  const here = reading.places.get(place)
  const problemsBefore = reading.problems.length
  const source = readValue(reading, node, path, here?.key ?? 0)
  if (here) reading.places.set(place, here)
  if (typeof source === 'object' && source !== null && !Array.isArray(source)) return Object.entries(source)
  if (reading.problems.length === problemsBefore)
    report(reading, path, 'value', '<< needs an alias of a map, or a list of such aliases')
  return []
}

/** A text with its variables resolved. YAML's null values become the empty text. */
function readScalar(reading: Reading, scalar: Scalar, path: ConfigPath): string {
  const text = unescapeReferences(scalar.source ?? '')
  if (scalar.type === 'PLAIN' && /^(~|null|Null|NULL)?$/.test(text)) return ''
  const { value, faults = [] } = interpolate(text, reading.variables)
  for (const fault of faults) report(reading, path, 'value', fault)
  return value ?? text
}

/** The offset of a value or its key; for a missing value, of the nearest value around it. */
function offsetOf(places: Map<string, Place>, path: ConfigPath, at: 'value' | 'key'): number {
  const place = places.get(formatPath(path))
  if (place) return place[at]
  return path.length === 0 ? 0 : offsetOf(places, path.slice(0, -1), 'value')
}
