import { inspect } from 'node:util'

/** A value that shows itself masked wherever it is printed, logged or serialized; only `reveal` gives it away. */
export interface Secret {
  reveal(): string
  /** What may be shown of it. */
  toString(): string
  toJSON(): string
  [inspect.custom](): string
}

/**
 * Takes a secret out of text that somebody wrote who was sent it: as it is, and as URLs, JSON, base64 and hex write it.
 */
export function createConcealer(secret: string): (text: string) => string {
  if (secret === '') return text => text
  const bytes = Buffer.from(secret)
  const forms = [
    secret,
    encodeURIComponent(secret.toWellFormed()),
    encodeURI(secret.toWellFormed()),
    JSON.stringify(secret).slice(1, -1),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
    bytes.toString('hex'),
  ]
  const longestFirst = [...new Set(forms)].toSorted((one, other) => other.length - one.length)
  return text => longestFirst.reduce((rest, form) => rest.replaceAll(form, '***'), text)
}

/** Keeps `value`, and shows `masked` in its place. */
export function createSecret(value: string, masked: string): Secret {
  const show = () => masked
  return { reveal: () => value, toString: show, toJSON: show, [inspect.custom]: show }
}
