import { splitSecrets } from '../config/mask.ts'

/** Quotes a word for a POSIX shell, only if needed. */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_\-./:=@%+,^]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** The result of `splitSecrets`: every second piece is a secret. */
export type Pieces = readonly string[]

/** A shell command without secrets: it reads them from `$PASSWORD`, and fails if that is not set. */
export function formatCommand(...words: readonly (string | Pieces)[]): string {
  const variables = new Map<string, string>()
  const variableOf = (secret: string) => {
    const known = variables.get(secret) ?? `PASSWORD${variables.size === 0 ? '' : `_${variables.size + 1}`}`
    variables.set(secret, known)
    return `"\${${known}:?}"`
  }
  return words
    .map(word => (typeof word === 'string' ? splitSecrets(word) : word))
    .map(pieces => (pieces.length === 1 ? shellQuote(pieces[0] ?? '') : quotePieces(pieces, variableOf)))
    .join(' ')
}

function quotePieces(pieces: Pieces, variableOf: (secret: string) => string): string {
  return pieces
    .map((piece, index) => (piece === '' ? '' : index % 2 === 1 ? variableOf(piece) : shellQuote(piece)))
    .join('')
}
