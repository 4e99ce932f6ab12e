import { refusal } from '../cloud-run/refusal.ts'

/** What a filter matches. */
export interface Filtered {
  readonly metricType: string
  readonly metricLabels: Readonly<Record<string, string>>
  readonly resourceType: string
  readonly resourceLabels: Readonly<Record<string, string>>
}

interface Clause {
  readonly field: string
  readonly negated: boolean
  readonly values: readonly string[]
}

export interface Filter {
  readonly metricType: string
  readonly resourceType: string | null
  matches(series: Filtered): boolean
}

const clauseText = /^([a-z_]+(?:\.[a-zA-Z_"]+)*)\s*(!=|=)\s*(?:one_of\(([^)]*)\)|("[^"]*"))$/

/** Supports what Driftwatch writes: clauses `field = "text"`, `field != "text"` and `field = one_of("a","b")` with AND. */
export function parseFilter(text: string): Filter {
  const clauses = text.split(/\s+AND\s+/).map(parseClause)
  const only = (field: string) => clauses.find(clause => clause.field === field && !clause.negated)?.values[0] ?? null
  const metricType = only('metric.type')
  if (metricType === null) {
    throw refusal(
      'INVALID_ARGUMENT',
      `Field filter had an invalid value of "${text}": must specify a restriction on "metric.type".`,
    )
  }
  return {
    metricType,
    resourceType: only('resource.type'),
    matches: series =>
      clauses.every(clause => clause.values.includes(fieldValue(clause.field, series)) !== clause.negated),
  }
}

function parseClause(text: string): Clause {
  const match = clauseText.exec(text.trim())
  if (match === null) throw refusal('INVALID_ARGUMENT', `Field filter had an invalid value: could not parse "${text}".`)
  const [, field = '', operator, list, single] = match
  const values = [...(list ?? single ?? '').matchAll(/"([^"]*)"/g)].map(([, value = '']) => value)
  return { field: plainField(field), negated: operator === '!=', values }
}

/** `metric.labels.stack` and `metric.label."stack"` are the same as `metric.label.stack`. */
export function plainField(field: string): string {
  return field.replace('.labels.', '.label.').replaceAll('"', '')
}

/** A field of a series: `metric.type`, `resource.label.job`; empty if absent. */
export function fieldValue(field: string, series: Filtered): string {
  if (field === 'metric.type') return series.metricType
  if (field === 'resource.type') return series.resourceType
  const [kind, , ...rest] = field.split('.')
  const labels = kind === 'metric' ? series.metricLabels : series.resourceLabels
  return labels[rest.join('.')] ?? ''
}
