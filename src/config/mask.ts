import { shownNames, shownParameters } from '../printable.ts'

/** Shown in place of a secret. */
const masked = '***'

/** The names of secrets in `password=...`, `"api_key": "..."`. */
const called = '(?:password|passwd|passphrase|pwd|secret|token|api[-_]?key)'
const quoted = `"(?:\\\\.|[^"\\\\])*"?|'(?:\\\\.|[^'\\\\])*'?`
/** A colon needs a space or a quote beside it, because an image may be named `token:v1`. */
const sign = `(?:\\\\*["']?\\s*=\\s*|\\\\*["']\\s*:\\s*|\\s*:\\s+)`
const named = new RegExp(`(${called}${sign})(${quoted}|(?:\\\\.|[^\\s\\\\])+)`, 'i')
/** A parameter in the query of a URL, except those of a database URL that contain no secret. */
const urlParameter = new RegExp(`([?&](?!(?:${shownNames})=)[^=&\\s#"'?]+=)([^&\\s#"']+)`)

/** In one word of a command, the rest of the word is the secret, including spaces. */
const option = new RegExp(`^(-{0,2}[\\w-]*${called}=)(?!["'])([^]+)$`, 'i')
const bareOption = new RegExp(`^-{1,2}[\\w-]*${called}$`, 'i')

/** The part of a URL before its secret: up to the user's colon, or up to a token. */
const credentials = /:\/\/[^\s:]*:|https?:\/\/(?=[^\s/@:]+@)/i

/**
 * Splits `text` into pieces: those with an odd index are secrets, such as the password of a URL. In doubt, a piece is a
 * secret.
 */
export function splitSecrets(text: string): readonly string[] {
  const { index = -1, 0: address = '' } = credentials.exec(text) ?? {}
  const start = index + address.length
  // Up to the last @, because a password may contain an unencoded one.
  const end = text.lastIndexOf('@')
  if (index >= 0 && end >= start)
    return [...splitNamed(text.slice(0, start)), text.slice(start, end), ...splitNamed(text.slice(end))]
  return splitNamed(text)
}

/** Splits the words of a command into pieces: the word after `--password` is a secret too. */
export function splitWords(words: readonly string[]): (readonly string[])[] {
  return words.map((word, index) => (bareOption.test(words[index - 1] ?? '') ? ['', word, ''] : splitSecrets(word)))
}

function splitNamed(text: string): string[] {
  const [, name = '', secret = ''] = option.exec(text) ?? []
  if (secret !== '') return [name, secret, '']
  const isUrl = /:\/\/\S*\?/.test(text)
  const pieces = isUrl ? splitAt(text, urlParameter) : [text]
  return pieces.flatMap((piece, index) => (index % 2 === 1 ? [piece] : splitAt(piece, named)))
}

/** Splits at a pattern with two groups, a name and its secret. */
function splitAt(text: string, pattern: RegExp): string[] {
  // `split` returns text, name, secret in turn: the name belongs to the text before it.
  const [first = '', ...rest] = text.split(pattern)
  const pieces = [first]
  for (let index = 0; index < rest.length; index += 3) {
    pieces.push(`${pieces.pop()}${rest[index]}`, rest[index + 1] ?? '', rest[index + 2] ?? '')
  }
  return pieces
}

/** Masks the secrets in `text`. */
export function maskText(text: string): string {
  return joinMasked(splitSecrets(text))
}

/** Masks the secrets in the words of a command. */
export function maskWords(words: readonly string[]): string[] {
  return splitWords(words).map(joinMasked)
}

function joinMasked(pieces: readonly string[]): string {
  return pieces.map((piece, index) => (index % 2 === 1 ? masked : piece)).join('')
}

/** Masks the password of a database URL, and all parameters that may contain a secret. */
export function maskUrl(url: string): string {
  const [address = '', query] = url.split('?')
  const shown = query?.split('&').map(parameter => {
    const [key = ''] = parameter.split('=')
    return shownParameters.test(key) ? parameter : `${masked}=${masked}`
  })
  return maskText(address) + (shown ? `?${shown.join('&')}` : '')
}
