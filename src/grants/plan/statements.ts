import { classOf } from '../judge/expectation.ts'
import type { CatalogObject } from '../model/catalog.ts'
import { quoteArguments, quoteIdentifier } from '../model/identifiers.ts'
import type { ObjectClass } from '../model/privileges.ts'

/** The name of an object in SQL, without the keyword for its kind. */
export function objectName(object: CatalogObject): string {
  if (object.kind === 'schema' || object.kind === 'database') return quoteIdentifier(object.name)
  const name = `${quoteIdentifier(object.schema)}.${quoteIdentifier(object.name)}`
  return object.args === null ? name : `${name}(${quoteArguments(object.args)})`
}

/** The keyword for a class of objects in GRANT and REVOKE. */
export const grantWord: Readonly<Record<ObjectClass, string>> = {
  database: 'DATABASE',
  schema: 'SCHEMA',
  tables: 'TABLE',
  sequences: 'SEQUENCE',
  functions: 'ROUTINE',
}

/** The keyword for a class of objects in ALTER DEFAULT PRIVILEGES. */
export const defaultsWord = { tables: 'TABLES', sequences: 'SEQUENCES', functions: 'ROUTINES' } as const

/** The keyword for a kind of object in ALTER ... OWNER TO. */
export function alterWord({ kind }: CatalogObject): string {
  switch (kind) {
    case 'partitioned table':
      return 'TABLE'
    case 'view':
    case 'table':
    case 'materialized view':
    case 'foreign table':
    case 'sequence':
    case 'schema':
    case 'database':
      return kind.toUpperCase()
    default:
      return grantWord[classOf(kind)]
  }
}

/** A list of privileges, each with the same columns, if any. */
export function privilegeList(words: readonly string[], columns: readonly string[] | null): string {
  const on = columns === null ? '' : ` (${columns.map(quoteIdentifier).join(', ')})`
  return words.map(word => `${word}${on}`).join(', ')
}
