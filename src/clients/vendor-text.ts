import { prose, shown } from '../printable.ts'

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
