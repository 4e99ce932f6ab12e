/** Writes the files that are generated from the code: `npm run docs`. Tests compare the files with this output. */
import { readFileSync, writeFileSync } from 'node:fs'
import { buildEditorSchema } from '../src/config/editor-schema.ts'
import { environmentVariables } from '../src/config/environment.ts'
import { configSchema } from '../src/config/schema.ts'
import { receiptSchema } from '../src/operate/rollout/receipt.ts'
import { costTable } from './cost.ts'
import { licensesPage } from './licenses.ts'

/** The part of JSON Schema that the configuration schema uses. */
interface Schema {
  readonly type?: string | readonly string[]
  readonly title?: string
  readonly description?: string
  readonly default?: unknown
  readonly format?: string
  readonly pattern?: string
  readonly enum?: readonly string[]
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
}

const draft = 'http://json-schema.org/draft-07/schema#'

/** The text of every generated file, by path. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/configuration.md', configurationPage()],
    ['docs/cost.md', costPage()],
    ['deploy/driftwatch.schema.json', formatJson(editorSchema())],
    ['deploy/receipt.schema.json', formatJson({ $schema: draft, ...receiptSchema })],
    ['docs/licenses.md', licensesPage()],
  ])
}

function configurationPage(): string {
  const template = readFileSync(new URL('configuration.template.md', import.meta.url), 'utf8')
  return template
    .replace('{{keys}}', () => sections(configSchema, '').join('\n'))
    .replace('{{environment}}', () => environmentTable())
}

/** The current page with a new table. */
function costPage(): string {
  const [begin, end] = ['<!-- npm run docs -->', '<!-- end of the table -->']
  const page = readFileSync(new URL('cost.md', import.meta.url), 'utf8')
  return page.replace(new RegExp(`${begin}.*${end}`, 's'), () => `${begin}\n${costTable()}\n${end}`)
}

/** A heading and a table for a map of the configuration, and for each map inside it. */
function sections(schema: Schema, path: string): string[] {
  const properties = Object.entries(schema.properties ?? {})
  const rows = properties.map(([key, value]) => {
    const fallback = schema.required?.includes(key) ? 'required' : defaultText(value)
    return [`\`${key}\``, typeText(value), fallback, value.description ?? '']
  })
  const heading = path ? `### \`${path}\`` : '### The file'
  const here = `${heading}\n\n${schema.description}\n\n${table(['key', 'value', 'default', 'meaning'], rows)}`
  const within = properties.flatMap(([key, value]) => nested(value, path ? `${path}.${key}` : key))
  return [here, ...within.flatMap(({ inner, at }) => sections(inner, at))]
}

/** The maps with documented keys inside a value: the value itself, its items, or the values of its free keys. */
function nested(schema: Schema, path: string): { inner: Schema; at: string }[] {
  if (schema.properties) return [{ inner: schema, at: path }]
  if (schema.items?.properties) return [{ inner: schema.items, at: `${path}[]` }]
  const free = schema.additionalProperties
  return typeof free === 'object' && free.properties ? [{ inner: free, at: `${path}.<name>` }] : []
}

function typeText(schema: Schema): string {
  if (schema.enum) return schema.enum.map(value => `\`${value}\``).join(' ')
  if (schema.type === 'array') return `list: ${schema.items?.properties ? 'maps' : typeText(schema.items ?? {})}`
  if (schema.type === 'object') return 'map'
  if (schema.type === 'boolean') return '`true` or `false`'
  const words = typeof schema.type === 'object' ? `: ${typeText(schema.items ?? {})}` : ''
  return `${schema.title ?? 'text'}${words}`
}

function defaultText({ default: value }: Schema): string {
  if (value === undefined) return 'none'
  if (value === '') return 'empty'
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

function environmentTable(): string {
  const rows = Object.entries(environmentVariables).map(([name, { fallback, meaning }]) => [
    `\`${name}\``,
    fallback ? `\`${fallback}\`` : 'not set',
    meaning,
  ])
  return table(['variable', 'default', 'meaning'], rows)
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows].map(row => `| ${row.join(' | ')} |\n`)
  return lines.join('')
}

/** The schema for editors: without Driftwatch's own formats, and with `${VAR}` allowed in values. */
function editorSchema(): object {
  return {
    $schema: draft,
    title: 'driftwatch.yaml',
    ...allowVariables(buildEditorSchema()),
  }
}

function allowVariables(schema: Schema): Schema {
  const {
    format: _,
    type,
    pattern,
    enum: values,
    properties,
    items,
    additionalProperties: free,
    ...annotations
  } = schema
  const wanted = { ...(type && { type }), ...(pattern && { pattern }), ...(values && { enum: values }) }
  const restricted = type === 'boolean' || pattern || values
  return {
    ...annotations,
    ...(restricted ? { anyOf: [wanted, { type: 'string', pattern: '\\$\\{' }] } : wanted),
    ...(properties && { properties: mapValues(properties, allowVariables) }),
    ...(items && { items: allowVariables(items) }),
    ...(free !== undefined && { additionalProperties: typeof free === 'object' ? allowVariables(free) : free }),
  }
}

function mapValues<T>(object: Readonly<Record<string, T>>, change: (value: T) => T): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]))
}

/** JSON as the formatter writes it: a list of words is on one line if it fits. */
function formatJson(value: object): string {
  const json = JSON.stringify(value, null, 2)
  const compact = json.replace(/\[\s+([^[\]{}]*?)\s+\]/g, (list: string, items: string, offset: number) => {
    const line = `[${items.replace(/,\s+/g, ', ')}]`
    const column = offset - json.lastIndexOf('\n', offset)
    return column + line.length <= 120 ? line : list
  })
  return `${compact}\n`
}

if (import.meta.main) {
  for (const [path, text] of generatedFiles()) writeFileSync(new URL(`../${path}`, import.meta.url), text)
}
