import { isPrintable, printable } from '../../printable.ts'

const plain = /^[a-z_][a-z0-9_$]*$/

/** Any identifier quoted for SQL. Control characters are escaped in a form that PostgreSQL understands. */
export function quoteIdentifier(name: string): string {
  return isPrintable(name) ? inQuotes(name) : `U&${inQuotes(escapeForSql(name))}`
}

/** Argument types in the form of PostgreSQL, with control characters in identifiers escaped. */
export function quoteArguments(args: string): string {
  if (isPrintable(args)) return args
  return args.replaceAll(/"((?:[^"]|"")*)"/g, (_, name: string) => quoteIdentifier(name.replaceAll('""', '"')))
}

/** An identifier for people, on one line: quoted only if needed, unprintable characters escaped. */
export function showIdentifier(name: string): string {
  return plain.test(name) ? name : printable(inQuotes(name))
}

function inQuotes(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function escapeForSql(name: string): string {
  return Array.from(name.replaceAll('\\', '\\\\'), character =>
    isPrintable(character) ? character : `\\+${character.codePointAt(0)?.toString(16).padStart(6, '0')}`,
  ).join('')
}
