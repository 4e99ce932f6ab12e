/** An identifier as SQL takes it, whatever is in it. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

const plain = /^[a-z_][a-z0-9_$]*$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be kept out of terminals and comments
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** An identifier as a person reads it, on one line: quoted only where needed, unprintable characters escaped. */
export function showIdentifier(name: string): string {
  return plain.test(name) ? name : printable(quoteIdentifier(name))
}

/** Text of others on one line of a terminal, a log or an SQL comment. */
export function printable(text: string): string {
  return text.replace(unprintable, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
