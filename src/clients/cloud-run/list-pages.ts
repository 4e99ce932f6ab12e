import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError } from '../../errors.ts'
import type { ResourcePage, ResourceReader } from './cloud-run.ts'

/** So many pages may follow one another and bring nothing new: after that their tokens have no end. */
const mostIdlePages = 20

/** The pages of a list; rejects with MALFORMED_RESPONSE where they have no end. */
export async function* pagesOf<T>(
  reader: ResourceReader<T>,
  parent: string,
  deadline: Deadline,
): AsyncGenerator<ResourcePage<T>> {
  const [names, tokens] = [new Set<string>(), new Set<string>()]
  let idle = 0
  for (let pageToken = ''; ; ) {
    const page = await reader.list(parent, pageToken, deadline)
    const before = names.size
    for (const name of page.items.keys()) names.add(name)
    idle = names.size === before ? idle + 1 : 0
    pageToken = page.nextPageToken
    if (pageToken && (tokens.has(pageToken) || idle >= mostIdlePages))
      throw new DriftwatchError('MALFORMED_RESPONSE', `the list of ${parent} has no end: its pages bring nothing new`)
    tokens.add(pageToken)
    yield page
    if (!pageToken) return
  }
}

/** Likewise, for whoever needs all of the list: rejects also where something is missing from a page. */
export async function* wholePagesOf<T>(
  reader: ResourceReader<T>,
  parent: string,
  deadline: Deadline,
): AsyncGenerator<ResourcePage<T>> {
  const notWhole = `the list of ${parent} is not whole`
  for await (const page of pagesOf(reader, parent, deadline)) {
    const [unreadable] = page.unreadable
    if (page.unreachable.length > 0)
      throw new DriftwatchError('UNAVAILABLE', `${notWhole}: unreachable is ${page.unreachable.join()}`)
    if (unreadable !== undefined)
      throw new DriftwatchError('MALFORMED_RESPONSE', `${notWhole}: this cannot be read: ${unreadable}`)
    yield page
  }
}
