import { inspect } from 'node:util'

/** A value that shows itself masked wherever it is printed, logged or serialized; only `reveal` gives it away. */
export interface Secret {
  reveal(): string
  /** What may be shown of it. */
  toString(): string
  toJSON(): string
  [inspect.custom](): string
}

/** Keeps `value`, and shows `masked` in its place. */
export function createSecret(value: string, masked: string): Secret {
  const show = () => masked
  return { reveal: () => value, toString: show, toJSON: show, [inspect.custom]: show }
}
