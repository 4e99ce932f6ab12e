import type { ErrorObject } from 'ajv'
import { maskText } from '../mask.ts'
import type { ConfigPath, Problem } from '../problem.ts'
import type { ConfigFile } from '../schema.ts'
import { isInterpolated } from './interpolate.ts'
import { suggestion } from './suggestion.ts'
import { createValidator } from './validator.ts'

/** What of a schema a message speaks of. */
interface Annotated {
  readonly title?: string
  readonly examples?: readonly string[]
  readonly properties?: Readonly<Record<string, unknown>>
  readonly required?: readonly string[]
  /** The value is a secret. */
  readonly writeOnly?: boolean
}

/** A text as the file has it, variables not resolved; null where there is no text. */
type Written = (path: ConfigPath) => string | null

/**
 * Holds data against the schema, fills in the schema's defaults, and turns texts into what the schema wants. The data is
 * a `ConfigFile` wherever no problem lies.
 */
export function validate(
  { data }: { readonly data: unknown },
  written: Written,
): { readonly file: ConfigFile; readonly problems: readonly Problem[] } {
  const file = structuredClone(data)
  const valid = createValidator()
  valid(file)
  const problems = (valid.errors ?? []).map(error => toProblem(error, pathOf(error.instancePath, file), written))
  return { file: file as ConfigFile, problems }
}

/** A JSON pointer as a path; what is an index is seen at the data. */
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

function toProblem(error: ErrorObject, path: ConfigPath, written: Written): Problem {
  const { keyword, params } = error
  if (keyword === 'required') {
    return { path: [...path, String(params.missingProperty)], at: 'value', message: 'missing: it is required' }
  }
  if (keyword === 'additionalProperties') {
    const key = String(params.additionalProperty)
    const known = Object.keys((error.parentSchema as Annotated).properties ?? {})
    return { path: [...path, key], at: 'key', message: `unknown key${suggestion(key, known)}` }
  }
  return { path, at: 'value', message: valueFault(error, path, written) }
}

function valueFault({ keyword, params, data, parentSchema }: ErrorObject, path: ConfigPath, written: Written): string {
  const { title, examples, writeOnly, required } = parentSchema as Annotated
  if (keyword === 'minLength' || keyword === 'minItems') return 'must not be empty'
  const quoted = typeof data === 'string' ? quote(written(path) ?? '') : typeOf(data)
  if (keyword === 'type') {
    const actual = params.type === 'boolean' ? quoted : typeOf(data)
    const remedy = isNothing(data) && !required ? (emptyOnes[params.type] ?? '') : ''
    return `must be ${title ?? typeNames[params.type]}, not ${actual}${remedy}`
  }
  if (keyword === 'enum') return `must be ${oneOf(params.allowedValues)}, not ${quoted}`
  return `must be ${title}${examples?.[0] ? `, such as ${examples[0]}` : ''}${writeOnly ? '' : `, not ${quoted}`}`
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

/** A key with nothing behind it is a common way to mean these. */
const emptyOnes: Readonly<Record<string, string>> = { object: ': write {}', array: ': write []' }

const isNothing = (data: unknown) => data === '' || data === null

function typeOf(data: unknown): string {
  if (isNothing(data)) return 'nothing'
  return (Array.isArray(data) ? typeNames.array : typeNames[typeof data]) ?? typeof data
}

/** A text as it stands in the file: what its variables hold may be secret. */
function quote(written: string): string {
  const text = maskText(written)
  const short = text.length > 80 ? `${text.slice(0, 77)}...` : text
  return isInterpolated(written) ? `what ${short} stands for` : JSON.stringify(short)
}
