/** What a JSON Pointer (RFC 6901) leads to: a value, or how far it leads. */
export type Pointed =
  | { readonly kind: 'value'; readonly value: unknown }
  /** `upTo` is the pointer of the last value on the way. */
  | { readonly kind: 'nothing'; readonly upTo: string }

/** Follows a pointer that is well-formed. Only what the document itself holds is there. */
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
