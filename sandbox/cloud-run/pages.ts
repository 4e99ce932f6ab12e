import { refusal } from './refusal.ts'

export interface PageRequest {
  readonly parent: string
  readonly pageSize: number
  readonly pageToken: string
}

export interface Page<T> {
  readonly items: readonly T[]
  /** Empty on the last page. */
  readonly nextPageToken: string
}

/** One page of a list. The server limits the size; a token is valid only for the same method, parent and page size. */
export function pageOf<T>(all: readonly T[], method: string, request: PageRequest, maxPageSize: number): Page<T> {
  const { parent, pageSize, pageToken } = request
  if (pageSize < 0) throw refusal('INVALID_ARGUMENT', `The request has a negative page_size: ${pageSize}.`)
  const belongsTo = JSON.stringify([method, parent, pageSize])
  const start = pageToken === '' ? 0 : startOf(pageToken, belongsTo)
  const end = start + (pageSize === 0 ? maxPageSize : Math.min(pageSize, maxPageSize))
  return { items: all.slice(start, end), nextPageToken: end < all.length ? tokenOf(end, belongsTo) : '' }
}

function tokenOf(start: number, belongsTo: string): string {
  return Buffer.from(`${start} ${belongsTo}`).toString('base64url')
}

function startOf(token: string, belongsTo: string): number {
  const text = Buffer.from(token, 'base64url').toString()
  const start = Number(text.slice(0, text.indexOf(' ')))
  if (!Number.isSafeInteger(start) || tokenOf(start, belongsTo) !== token) {
    throw refusal('INVALID_ARGUMENT', 'The request has an invalid page_token.')
  }
  return start
}
