import { inspect } from 'node:util'

/** A value that is masked when printed, logged or serialized; only `reveal` returns it. */
export interface Secret {
  reveal(): string
  /** The masked form. */
  toString(): string
  toJSON(): string
  [inspect.custom](): string
}

/** Masks a secret in the text of a system that received it: verbatim, and as in URLs, JSON, base64 and hex. */
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

/** Wraps `value`; `masked` is shown in its place. */
export function createSecret(value: string, masked: string): Secret {
  const show = () => masked
  return { reveal: () => value, toString: show, toJSON: show, [inspect.custom]: show }
}
