/** The maximum number of names in a message. */
const maxNames = 20

/** Ends a message about an unknown word: with the most similar known word, otherwise with all known words. */
export function suggestWord(word: string, known: readonly string[]): string {
  const meant = findNearest(word, known)
  if (meant) return `; did you mean "${meant}"?`
  if (known.length === 0) return ''
  return `; expected one of ${known.slice(0, maxNames).join(', ')}${known.length > maxNames ? ', ...' : ''}`
}

/** The candidate that `word` is probably a typo of, or null. */
function findNearest(word: string, candidates: readonly string[]): string | null {
  const allowed = Math.max(1, Math.floor(word.length / 3))
  let best: string | null = null
  let bestDistance = allowed + 1
  for (const candidate of candidates) {
    const distance = editDistance(plain(word), plain(candidate))
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** Makes `max_duration`, `max-duration` and `MaxDuration` equal. */
function plain(word: string): string {
  return word.slice(0, 64).replaceAll(/[-_]/g, '').toLowerCase()
}

/** The Levenshtein distance. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [index, letter] of [...from].entries()) {
    const above = row
    row = [index + 1]
    for (let column = 1; column <= to.length; column++) {
      const change = (above[column - 1] ?? 0) + (letter === to[column - 1] ? 0 : 1)
      row.push(Math.min(change, (above[column] ?? 0) + 1, (row[column - 1] ?? 0) + 1))
    }
  }
  return row[to.length] ?? 0
}
