import { type Judgement, judge, median } from './judgement.ts'
import type { Measurement, Wanted } from './row.ts'

/** A stored row of the table. */
export interface RowResult {
  readonly name: string
  readonly title: string
  readonly floor: string
  readonly measurements: readonly Measurement[]
}

const head = `| what | size | Driftwatch | floor | ratio | goal | |
|---|---|---|---|---|---|---|`

/** The rows as a Markdown table: the median of the rounds, with minimum and maximum in parentheses. */
export function renderTable(rows: readonly RowResult[]): string {
  return [head, ...rows.flatMap(renderRow)].join('\n')
}

function renderRow({ title, floor, measurements }: RowResult): string[] {
  return measurements.map((measurement, index) => {
    const { at, unit, ours, wanted } = measurement
    const what = index === 0 ? `**${title}**, compared with ${floor}` : ''
    const judgement = judge(measurement)
    const bare = measurement.floor.length > 0 ? spread(measurement.floor, unit) : ''
    const verdict = judgement.reached ? 'met' : 'missed'
    return `| ${what} | ${at} | ${spread(ours, unit)} | ${bare} | ${compared(judgement, wanted)} | ${inWords(wanted)} | ${verdict} |`
  })
}

function spread(values: readonly number[], unit: string): string {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const range = least === most ? '' : ` (${round(least)} – ${round(most)})`
  return `${round(median(values))} ${unit}${range}`
}

function compared({ value }: Judgement, { kind }: Wanted): string {
  if (kind === 'below') return ''
  return kind === 'plus at most' ? `${value < 0 ? '−' : '+'} ${round(Math.abs(value))} ms` : `${round(value)} ×`
}

function inWords(wanted: Wanted): string {
  if (wanted.kind === 'below') return `< ${wanted.value}`
  if (wanted.kind === 'plus at most') return `≤ + ${wanted.ms.toLocaleString('en')} ms`
  return `${wanted.kind === 'at most' ? '≤' : '≥'} ${wanted.ratio} ×`
}

/** Three significant digits. */
function round(value: number): string {
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return Number(value.toFixed(Math.min(3, digits))).toLocaleString('en', { maximumFractionDigits: 3 })
}
