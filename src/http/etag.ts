/** Whether `If-None-Match` names this entity tag, compared weakly: the client has it already. */
export function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return [...ifNoneMatch.matchAll(/"[^"]*"/g)].some(([opaque]) => opaque === etag.replace(/^W\//, ''))
}
