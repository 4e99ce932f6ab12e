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

/** The query of a URL, and its user and password. The links of Google's console contain no secrets. */
const urlQuery = /(\b[a-z][a-z\d+.-]*:\/\/(?!console\.cloud\.google\.com\/)[^\s?#"'<>]*\?)([^\s#"'<>]+)/gi
const urlPassword = /(\b[a-z][a-z\d+.-]*:\/\/[^\s:/?#@]*:)(?!password@)[^\s@/?#]+(?=@)/gi
const urlToken = /(\bhttps?:\/\/)[^\s:/?#@]+(?=@)/gi

/** Masks the secrets in the URLs of a text, because messages of others may quote the URL of a request. */
export function maskUrls(text: string): string {
  if (!text.includes('://')) return text
  return text
    .replace(urlPassword, '$1***')
    .replace(urlToken, '$1***')
    .replace(urlQuery, (_, address: string, query: string) => address + maskQueryValues(query, shownIn(address)))
}

/** The names of the parameters of a database URL that contain no secret, as alternatives of a pattern. */
export const shownNames = 'host|port|user|sslmode|sslrootcert|application_name'
export const shownParameters = new RegExp(`^(${shownNames})$`)

/** Only database URLs have parameters that are shown. */
function shownIn(address: string): (name: string) => boolean {
  return name => /^postgres/i.test(address) && shownParameters.test(name)
}

/** Masks the values of a query, and parameters without a value. */
function maskQueryValues(query: string, isShown: (name: string) => boolean): string {
  const parameters = query.split('&').map(parameter => {
    const at = parameter.indexOf('=')
    if (at < 0) return '***'
    const name = parameter.slice(0, at)
    return at === parameter.length - 1 || isShown(name) ? parameter : `${name}=***`
  })
  return parameters.join('&')
}

/** Masks the values in the query of a path, such as `/health?api_key=secret`. */
export function maskQuery(path: string): string {
  const at = path.indexOf('?')
  return at < 0 ? path : `${path.slice(0, at)}?${maskQueryValues(path.slice(at + 1), () => false)}`
}

/** Makes an external value printable, masks the secrets in its URLs, and limits its length. A digest keeps different values distinguishable. */
export function shown(unsafe: string, longest = longestText): string {
  const text = maskUrls(unsafe)
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
