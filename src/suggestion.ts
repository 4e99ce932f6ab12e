/** The maximum number of names in a message. */
const maxNames = 20

/** Ends a message about an unknown word: with the most similar known word, otherwise with all known words. */
export function suggestWord(word: string, known: readonly string[]): string {
  const suggestion = didYouMean(word, known)
  if (suggestion) return suggestion
  if (known.length === 0) return ''
  return `; expected one of ${known.slice(0, maxNames).join(', ')}${known.length > maxNames ? ', ...' : ''}`
}

/** Ends a sentence about an unknown word with `. Did you mean "..."?`; empty if no known word is similar. */
export function didYouMean(word: string, known: readonly string[]): string {
  const meant = findNearest(word, known)
  return meant === null ? '' : `. Did you mean ${JSON.stringify(meant)}?`
}

/** The candidate that `word` is probably a typo of, or null. */
function findNearest(word: string, candidates: readonly string[]): string | null {
  if (word === '') return null
  const allowed = Math.max(1, Math.floor(word.length / 3))
  let best: string | null = null
  let bestDistance = allowed + 1
  for (const candidate of candidates) {
    const distance = editDistance(plain(word), plain(candidate))
    if (distance < bestDistance && distance < candidate.length) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** Makes `max_duration`, `max-duration` and `MaxDuration` equal. */
function plain(word: string): string {
  return word.slice(0, 64).replaceAll(/[-_]/g, '').toLowerCase()
}

/** The Damerau-Levenshtein distance: two neighbouring letters that are exchanged count as one edit. */
function editDistance(from: string, to: string): number {
  let above: number[] = []
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let index = 0; index < from.length; index++) {
    const [twoAbove, before] = [above, row]
    above = before
    row = [index + 1]
    for (let column = 1; column <= to.length; column++) {
      const change = (before[column - 1] ?? 0) + (from[index] === to[column - 1] ? 0 : 1)
      const exchanged = from[index] === to[column - 2] && from[index - 1] === to[column - 1]
      const exchange = exchanged ? (twoAbove[column - 2] ?? Number.POSITIVE_INFINITY) + 1 : Number.POSITIVE_INFINITY
      row.push(Math.min(change, exchange, (before[column] ?? 0) + 1, (row[column - 1] ?? 0) + 1))
    }
  }
  return row[to.length] ?? 0
}
