import { isPrintable, printable } from '../../printable.ts'

const plain = /^[a-z_][a-z0-9_$]*$/

/** An identifier as SQL takes it, whatever is in it; what a terminal would obey is escaped as PostgreSQL reads it. */
export function quoteIdentifier(name: string): string {
  return isPrintable(name) ? inQuotes(name) : `U&${inQuotes(escapeForSql(name))}`
}

/** The types of a routine's arguments as PostgreSQL writes them, with no identifier in them that a terminal would obey. */
export function quoteArguments(args: string): string {
  if (isPrintable(args)) return args
  return args.replaceAll(/"((?:[^"]|"")*)"/g, (_, name: string) => quoteIdentifier(name.replaceAll('""', '"')))
}

/** An identifier as a person reads it, on one line: quoted only where needed, unprintable characters escaped. */
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
