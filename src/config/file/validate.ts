import type { ErrorObject } from 'ajv'
import { didYouMean, suggestWord } from '../../suggestion.ts'
import { maskText } from '../mask.ts'
import type { ConfigPath, Problem } from '../problem.ts'
import type { ConfigFile } from '../schema.ts'
import { isUnshared, type MergedDefaults } from './defaults.ts'
import { isInterpolated } from './interpolate.ts'
import { createValidator } from './validator.ts'

/** The annotations of a schema that messages use. */
interface Annotated {
  readonly title?: string
  readonly examples?: readonly string[]
  readonly properties?: Readonly<Record<string, unknown>>
  readonly required?: readonly string[]
  /** The value is a secret. */
  readonly writeOnly?: boolean
}

/** The text in the file at a path, with variables unresolved; null if the value is not a text. */
type Written = (path: ConfigPath) => string | null

/**
 * Validates data against the schema, fills in defaults, and converts texts to the types of the schema. `file` is a
 * `ConfigFile` except at the paths of problems.
 */
export function validate(
  { data, origin }: Pick<MergedDefaults, 'data' | 'origin'>,
  written: Written,
): { readonly file: ConfigFile; readonly problems: readonly Problem[] } {
  const file = structuredClone(data)
  const valid = createValidator()
  valid(file)
  const problems = (valid.errors ?? []).map(error =>
    toProblem(error, pathOf(error.instancePath, file), written, origin),
  )
  return { file: file as ConfigFile, problems }
}

/** Converts a JSON pointer to a path. The data shows which steps are list indexes. */
function pathOf(pointer: string, data: unknown): ConfigPath {
  let value = data
  return pointer
    .split('/')
    .slice(1)
    .map(encoded => {
      const key = encoded.replaceAll('~1', '/').replaceAll('~0', '~')
      const step = Array.isArray(value) ? Number(key) : key
      value = (value as Readonly<Record<string, unknown>>)[key]
      return step
    })
}

function toProblem(error: ErrorObject, path: ConfigPath, written: Written, origin: MergedDefaults['origin']): Problem {
  const { keyword, params } = error
  if (keyword === 'required') {
    return { path: [...path, String(params.missingProperty)], at: 'value', message: 'required key is missing' }
  }
  if (keyword === 'additionalProperties') {
    const key = String(params.additionalProperty)
    const accepted = Object.keys((error.parentSchema as Annotated).properties ?? {})
    const known = accepted.filter(name => !isUnshared(origin([...path, key]), name))
    return { path: [...path, key], at: 'key', message: `unknown key${suggestWord(key, known)}` }
  }
  return { path, at: 'value', message: describeValue(error, path, written) }
}

function describeValue(
  { keyword, params, data, parentSchema }: ErrorObject,
  path: ConfigPath,
  written: Written,
): string {
  const { title = typeNames[params.type], examples, writeOnly, required } = parentSchema as Annotated
  if (/^min(Length|Items|Properties)$/.test(keyword)) return 'must not be empty'
  const example = examples?.[0] ? ` (for example ${examples[0]})` : ''
  const expected = keyword === 'enum' ? oneOf(params.allowedValues) : `${title}${example}`
  if (typeof data !== 'object' && !/object|array/.test(params.type)) {
    const suggestion = keyword === 'enum' ? didYouMean(String(data), params.allowedValues) : ''
    return `invalid value${writeOnly ? '' : quote(written(path) ?? '')}: expected ${expected}${writeOnly ? '' : suggestion}`
  }
  const remedy = isNothing(data) && !required ? (emptyValues[params.type] ?? '') : ''
  return `expected ${expected}, got ${typeOf(data)}${remedy}`
}

function oneOf(values: readonly string[]): string {
  return values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`
}

const typeNames: Readonly<Record<string, string>> = {
  object: 'a map',
  array: 'a list',
  string: 'text',
  boolean: 'true or false',
}

/** A key without a value is a common mistake for an empty map or list. */
const emptyValues: Readonly<Record<string, string>> = { object: ': write {}', array: ': write []' }

const isNothing = (data: unknown) => data === '' || data === null

function typeOf(data: unknown): string {
  if (isNothing(data)) return 'nothing'
  return (Array.isArray(data) ? typeNames.array : typeNames[typeof data]) ?? typeof data
}

/** Quotes a text as the file has it, because its variables may be secrets. */
function quote(written: string): string {
  const text = maskText(written)
  const short = text.length > 80 ? `${text.slice(0, 77)}...` : text
  return isInterpolated(written) ? ` of ${short}` : ` ${JSON.stringify(short)}`
}
