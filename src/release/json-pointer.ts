/** The result of following a JSON Pointer (RFC 6901). */
export type Pointed =
  | { readonly kind: 'value'; readonly value: unknown }
  /** `upTo` points to the last value that exists on the path. */
  | { readonly kind: 'nothing'; readonly upTo: string }

/** Follows a well-formed pointer. Inherited properties do not count. */
export function followPointer(document: unknown, pointer: string): Pointed {
  let value = document
  let upTo = ''
  for (const token of pointer.split('/').slice(1)) {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~')
    const isIndex = !Array.isArray(value) || /^(0|[1-9][0-9]*)$/.test(key)
    if (typeof value !== 'object' || value === null || !isIndex || !Object.hasOwn(value, key))
      return { kind: 'nothing', upTo }
    value = (value as Readonly<Record<string, unknown>>)[key]
    upTo += `/${token}`
  }
  return { kind: 'value', value }
}
