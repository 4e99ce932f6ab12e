/** What is shown in place of a secret. */
const masked = '***'

/** What a secret is called where it is written beside its name: `password=...`, `"api_key": "..."`. */
const called = '(?:password|passwd|passphrase|pwd|secret|token|api[-_]?key)'
const quoted = `"(?:\\\\.|[^"\\\\])*"?|'(?:\\\\.|[^'\\\\])*'?`
/** No colon without a blank or a quote beside it: an image may be called `token:v1`. */
const sign = `(?:\\\\*["']?\\s*=\\s*|\\\\*["']\\s*:\\s*|\\s*:\\s+)`
const named = new RegExp(`(${called}${sign})(${quoted}|(?:\\\\.|[^\\s\\\\])+)`, 'i')
/** As one word of a command the rest of it is the secret, with its spaces. */
const option = new RegExp(`^(-{0,2}[\\w-]*${called}=)(?!["'])([^]+)$`, 'i')
const bareOption = new RegExp(`^-{1,2}[\\w-]*${called}$`, 'i')

/** What stands before the secret of a URL: the user, or nothing before a token. */
const credentials = /:\/\/[^\s:]*:|https?:\/\/(?=[^\s/@:]+@)/i

/**
 * `text` in pieces: those with an even index may be shown, each between two of them is a secret, such as the password of
 * a URL. It rather takes too much for a secret than too little.
 */
export function splitSecrets(text: string): readonly string[] {
  const { index = -1, 0: address = '' } = credentials.exec(text) ?? {}
  const start = index + address.length
  // Up to the last @, since a password may hold one that should have been encoded.
  const end = text.lastIndexOf('@')
  if (index >= 0 && end >= start)
    return [...splitNamed(text.slice(0, start)), text.slice(start, end), ...splitNamed(text.slice(end))]
  return splitNamed(text)
}

/** The words of a command, each in pieces: the word after `--password` is a secret too. */
export function splitWords(words: readonly string[]): (readonly string[])[] {
  return words.map((word, index) => (bareOption.test(words[index - 1] ?? '') ? ['', word, ''] : splitSecrets(word)))
}

function splitNamed(text: string): string[] {
  const [, name = '', secret = ''] = option.exec(text) ?? []
  if (secret !== '') return [name, secret, '']
  // Each name and its secret between what may be shown: the name goes to what stands before it.
  const [first = '', ...rest] = text.split(named)
  const pieces = [first]
  for (let index = 0; index < rest.length; index += 3) {
    pieces.push(`${pieces.pop()}${rest[index]}`, rest[index + 1] ?? '', rest[index + 2] ?? '')
  }
  return pieces
}

/** `text` without the secrets in it. */
export function maskText(text: string): string {
  return joinMasked(splitSecrets(text))
}

/** The words of a command without the secrets in them. */
export function maskWords(words: readonly string[]): string[] {
  return splitWords(words).map(joinMasked)
}

function joinMasked(pieces: readonly string[]): string {
  return pieces.map((piece, index) => (index % 2 === 1 ? masked : piece)).join('')
}

/** Those that hold no secret, and without which a URL could not be read. */
const shownParameters = /^(host|port|user|sslmode|sslrootcert|application_name)$/

/** A database's URL without its password, and without the parameters that may hold another. */
export function maskUrl(url: string): string {
  const [address = '', query] = url.split('?')
  const shown = query?.split('&').map(parameter => {
    const [key = ''] = parameter.split('=')
    return shownParameters.test(key) ? parameter : `${masked}=${masked}`
  })
  return maskText(address) + (shown ? `?${shown.join('&')}` : '')
}
