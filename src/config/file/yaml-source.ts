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

/** A YAML text as data, and where in the text each value stands. */
export interface YamlSource {
  /** Maps, lists and texts. What a text means (a duration, true or false) is the schema's to say. */
  readonly data: unknown
  readonly problems: readonly Problem[]
  /** The line and column, from 1, of a value, of its key, or of what stands around a value that is not there. */
  position(problem: Pick<Problem, 'path' | 'at'>): { readonly line: number; readonly column: number }
  /** A text as the file has it, variables not resolved; null where there is no text. */
  written(path: ConfigPath): string | null
}

/** Where a value and its key begin, and the text that is there. */
interface Place {
  readonly value: number
  readonly key: number
  readonly written: string | null
}

interface Reading {
  /** What each alias stands for. */
  readonly targets: ReadonlyMap<Alias, Node>
  readonly variables: Variables
  readonly problems: Problem[]
  readonly places: Map<string, Place>
  /** Values read so far, what aliases repeat counted again. */
  values: number
}

/** Enough for thousands of stacks, too few for aliases that multiply what they stand for. */
const mostValues = 200_000
const deepestPath = 64

/** Reads one YAML document. Variables are resolved in its values after parsing, so that none can become structure. */
export function readYaml(text: string, variables: Variables): YamlSource {
  const lineCounter = new LineCounter()
  const document = parseDocument(escapeReferences(text), {
    schema: 'failsafe',
    uniqueKeys: false,
    prettyErrors: false,
    lineCounter,
  })
  const problems = syntaxProblems(document)
  const places = new Map<string, Place>()
  const reading = { targets: aliasTargets(document), variables, problems, places, values: 0 }
  const data = problems.length > 0 ? null : readValue(reading, document.contents, [], 0)
  if (data === '' && problems.length === 0)
    report(reading, [], 'value', 'the file is empty: it needs at least one stack')
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

/** The parser's complaints without the pieces of the file that it quotes, since these may be secret. */
function syntaxProblems(document: ReturnType<typeof parseDocument>): Problem[] {
  return document.errors.map(({ code, message, pos }) => {
    const complaint = `not YAML: ${message.replace(/(?<=\S): .*$|(?<=escape sequence) .*$/s, '')}`
    return { path: [], at: pos[0], message: plainer.get(code) ?? complaint }
  })
}

const plainer: ReadonlyMap<string, string> = new Map([
  ['RESOURCE_EXHAUSTION', 'nested too deeply'],
  ['MULTIPLE_DOCS', 'a second document begins here: keep to one'],
])

/** All at once, in the order of the file: an alias stands for what had its anchor last. */
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
  if (++reading.values > mostValues || path.length > deepestPath) return tooMuch(reading)
  if (isAlias(node)) return readAlias(reading, node, path, key)
  if (node?.tag) return report(reading, path, 'value', 'tags (!...) mean nothing here: leave it out')
  if (isMap(node)) return Object.fromEntries(readMap(reading, node, path))
  if (isSeq(node))
    return node.items.map((item, index) => readValue(reading, item as Node | null, [...path, index], value))
  return isScalar(node) ? readScalar(reading, node, path) : ''
}

/** Said once: with a problem of the whole file no other one counts. */
function tooMuch(reading: Reading): '' {
  const said = reading.problems.some(problem => problem.path.length === 0)
  return said ? '' : report(reading, [], 'value', 'too deep or too large once its aliases are followed')
}

function readAlias(reading: Reading, alias: Alias, path: ConfigPath, key: number): unknown {
  const target = reading.targets.get(alias)
  if (!target) return report(reading, path, 'value', 'no anchor above it has the name of this alias')
  return readValue(reading, target, path, key)
}

/** The entries of a map. Those that `<<` merges in stand behind the map's own. */
function readMap(reading: Reading, map: YAMLMap, path: ConfigPath): Map<string, unknown> {
  const entries = map.items.map(({ key, value }) => ({ key: key as Node | null, value: value as Node | null }))
  const merges = entries.filter(({ key }) => keyText(key) === '<<')
  const merged = merges.flatMap(({ value }) => readMerge(reading, value, path))
  const own = new Map<string, unknown>()
  for (const { key, value } of entries.filter(entry => !merges.includes(entry))) {
    const name = keyText(key)
    const keyPath = [...path, name]
    const content = readValue(reading, value, keyPath, key?.range?.[0] ?? 0)
    if (own.has(name)) report(reading, keyPath, 'key', 'this key is there twice: keep one')
    if (isInterpolated(name)) report(reading, keyPath, 'key', 'variables are resolved in values, never in keys')
    own.set(name, content)
  }
  return new Map([...merged.reverse(), ...own])
}

function keyText(key: Node | null): string {
  return unescapeReferences(isScalar(key) ? (key.source ?? '') : String(key))
}

/** The entries of what a `<<` names: a map, or a list of maps of which the first counts most. */
function readMerge(reading: Reading, node: Node | null, path: ConfigPath): [string, unknown][] {
  if (isSeq(node)) return node.items.flatMap(item => readMerge(reading, item as Node | null, path))
  const place = formatPath(path)
  const here = reading.places.get(place)
  const problemsBefore = reading.problems.length
  const source = readValue(reading, node, path, here?.key ?? 0)
  if (here) reading.places.set(place, here)
  if (typeof source === 'object' && source !== null && !Array.isArray(source)) return Object.entries(source)
  if (reading.problems.length === problemsBefore)
    report(reading, path, 'value', '<< takes an alias of a map, or a list of such aliases')
  return []
}

/** A text with its variables resolved. YAML's ways to write nothing are the empty text. */
function readScalar(reading: Reading, scalar: Scalar, path: ConfigPath): string {
  const text = unescapeReferences(scalar.source ?? '')
  if (scalar.type === 'PLAIN' && /^(~|null|Null|NULL)?$/.test(text)) return ''
  const { value, faults = [] } = interpolate(text, reading.variables)
  for (const fault of faults) report(reading, path, 'value', fault)
  return value ?? text
}

/** Where a value or its key begins; for one that is not there, where the nearest one around it does. */
function offsetOf(places: Map<string, Place>, path: ConfigPath, at: 'value' | 'key'): number {
  const place = places.get(formatPath(path))
  if (place) return place[at]
  return path.length === 0 ? 0 : offsetOf(places, path.slice(0, -1), 'value')
}
