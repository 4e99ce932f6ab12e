import { hash } from 'node:crypto'

/** What is invisible, moves, reorders, or is half a character. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/gu

/** Of one text that others wrote, no more is ever shown: what is longer is an accident, or meant to hurt. */
export const longestText = 4000

/** Text of others made harmless for a terminal, a log and an SQL comment, on one line: what is unprintable is spelled out. */
export function printable(text: string): string {
  // Nearly every text is plain, and the classes of Unicode cost much.
  if (/^[ -~]*$/.test(text)) return text
  return text.replaceAll(unprintable, character =>
    character === '\n' ? '\\n' : `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}

export function isPrintable(text: string): boolean {
  return printable(text) === text
}

/** Values of others as they are shown: printable, and of bounded length. Two that differ are shown to differ. */
export function shown(text: string, longest = longestText): string {
  if (text.length <= longest) return printable(text)
  const digest = hash('sha256', text).slice(0, 12)
  return `${printable(text.slice(0, longest))} [cut: ${text.length} characters, sha256 ${digest}]`
}

/** Prose of others on one line, as it is shown. */
export function prose(text: string, longest = longestText): string {
  return shown(text.replaceAll(/\s+/g, ' ').trim(), longest)
}

/** Text of several lines, each as it is shown. */
export function shownLines(text: string): string {
  return text
    .split('\n')
    .map(line => shown(line))
    .join('\n')
}

/** So much is kept of what a vendor says in words: a condition's message, who changed something, an error. */
const longestProse = 1000

/** The names of Cloud Run have 63 characters at most. */
const longestName = 200

/** Words of a vendor's, as they enter: on one line, printable, and no longer than a reader bears. */
export function vendorProse(text: string): string {
  return prose(text, longestProse)
}

/** A name that a vendor gave. One that is cut or spelled out is found nowhere, as it should be. */
export function vendorName(text: string): string {
  return shown(text, longestName)
}
