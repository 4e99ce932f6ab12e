/** A member of an `Accept` header, or of one of its kin. */
interface Range {
  readonly type: string
  readonly quality: number
  readonly place: number
}

/**
 * The media type that an `Accept` header prefers: by quality, then by how exactly it is named, then by its place in the
 * header. The first one offered where the header is missing, wants all the same, or wants nothing that there is.
 */
export function preferredType<T extends string>(accept: string | undefined, offered: readonly [T, ...T[]]): T {
  // Nearly everybody says one of these.
  if (accept === undefined || accept === '*/*' || accept === offered[0]) return offered[0]
  const ranges = parseRanges(accept)
  const ranked = offered
    .map(type => ({ type, range: closestRange(type, ranges) }))
    .filter(({ range }) => range !== undefined && range.quality > 0)
    .toSorted((one, other) => compareRanges(one.range, other.range))
  return ranked[0]?.type ?? offered[0]
}

/** The members of a header such as `Accept`; `quality` is 1 where none is said. */
export function parseRanges(header: string | undefined): Range[] {
  return (header ?? '').split(',').map(parseRange)
}

function parseRange(text: string, place: number): Range {
  const [type = '', ...parameters] = text.split(';').map(part => part.trim().toLowerCase())
  const quality = Number(parameters.find(parameter => parameter.startsWith('q='))?.slice(2) ?? 1)
  return { type, quality: Number.isNaN(quality) ? 1 : quality, place }
}

/** The most exact range that covers the type decides, whatever the others say. */
function closestRange(type: string, ranges: readonly Range[]): Range | undefined {
  const covering = [type, `${type.split('/')[0]}/*`, '*/*']
  return covering.map(name => ranges.find(range => range.type === name)).find(range => range !== undefined)
}

function compareRanges(one: Range | undefined, other: Range | undefined): number {
  if (!one || !other) return 0
  return other.quality - one.quality || exactness(other) - exactness(one) || one.place - other.place
}

function exactness({ type }: Range): number {
  return type === '*/*' ? 0 : type.endsWith('/*') ? 1 : 2
}
