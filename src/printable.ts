import { hash } from 'node:crypto'

/** Control, format and unassigned characters, lone surrogates, and line and paragraph separators. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/gu

/** The maximum length of external text that is shown. */
const longestText = 4000

/** Makes external text safe for a terminal, a log or an SQL comment: one line, with unprintable characters escaped. */
export function printable(text: string): string {
  // Most texts are ASCII, and matching Unicode classes is slow.
  if (/^[ -~]*$/.test(text)) return text
  return text.replaceAll(unprintable, character =>
    character === '\n' ? '\\n' : `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}

export function isPrintable(text: string): boolean {
  return printable(text) === text
}

/** Makes an external value printable and limits its length. A digest keeps different values distinguishable. */
export function shown(text: string, longest = longestText): string {
  if (text.length <= longest) return printable(text)
  const digest = hash('sha256', text).slice(0, 12)
  return `${printable(text.slice(0, longest))} [cut: ${text.length} characters, sha256 ${digest}]`
}

/** Makes external prose printable, on one line with single spaces. */
export function prose(text: string, longest = longestText): string {
  return shown(text.replaceAll(/\s+/g, ' ').trim(), longest)
}

/** Makes each line of a text printable. */
export function shownLines(text: string): string {
  return text
    .split('\n')
    .map(line => shown(line))
    .join('\n')
}

/** The maximum length of vendors' messages, such as conditions and errors. */
const maxProse = 1000

/** The maximum length of vendors' names. Names in Cloud Run have at most 63 characters. */
const maxName = 200

/** Makes a vendor's message printable, on one line and short, when it is received. */
export function vendorProse(text: string): string {
  return prose(text, maxProse)
}

/** Makes a vendor's name printable and short. A changed name intentionally matches no resource. */
export function vendorName(text: string): string {
  return shown(text, maxName)
}
