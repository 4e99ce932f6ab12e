import { readFileSync, writeFileSync } from 'node:fs'
import type { FaultedSystem, Outcome } from './fault-table.ts'

/**
 * Renders the results of a system's faults. If FAULT_MATRIX_FILE is set, writes the table to that page, between the
 * markers of the system.
 */
export function writeFaultTable(system: FaultedSystem, outcomes: ReadonlyMap<string, Outcome>): string[] {
  const table = [
    '| fault | reported as | one stack of three | all stacks |',
    '|---|---|---|---|',
    ...system.rows.map(row => {
      const cell = (scope: 'one' | 'all') => {
        const fault = row[scope]
        return typeof fault === 'string'
          ? `not possible: ${fault}`
          : (outcomes.get(`${row.fault} ${scope}`) ?? 'not run')
      }
      return `| ${row.fault} | ${reportedAs(row.code)} | ${cell('one')} | ${cell('all')} |`
    }),
  ]
  const file = process.env.FAULT_MATRIX_FILE
  if (file) writeFileSync(file, putIn(readFileSync(file, 'utf8'), system.name, table.join('\n')))
  return table
}

function reportedAs(code: FaultedSystem['rows'][number]['code']): string {
  if (code === null) return 'no error'
  return code === 'absent' ? 'drifted: missing' : `\`${code}\``
}

function putIn(page: string, name: string, table: string): string {
  const [begin, end] = [`<!-- ${name} -->\n`, `\n<!-- /${name} -->`]
  const [from, to] = [page.indexOf(begin) + begin.length, page.indexOf(end)]
  if (from < begin.length || to < from) throw new Error(`the page has no place for ${name}`)
  return page.slice(0, from) + table + page.slice(to)
}
