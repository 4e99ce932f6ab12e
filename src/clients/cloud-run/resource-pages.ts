import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError } from '../../errors.ts'
import { listPages } from '../google/list-pages.ts'
import type { ResourcePage, ResourceReader } from './cloud-run.ts'

/** The pages of a list. */
export function pagesOf<T>(
  reader: ResourceReader<T>,
  parent: string,
  deadline: Deadline,
): AsyncGenerator<ResourcePage<T>> {
  const names = new Set<string>()
  const countNew = ({ items }: ResourcePage<T>) => {
    const before = names.size
    for (const name of items.keys()) names.add(name)
    return names.size - before
  }
  return listPages(parent, pageToken => reader.list(parent, pageToken, deadline), countNew)
}

/** The pages of a list that must be complete: rejects if a resource is missing from a page. */
export async function* completePagesOf<T>(
  reader: ResourceReader<T>,
  parent: string,
  deadline: Deadline,
): AsyncGenerator<ResourcePage<T>> {
  const incomplete = `the list of ${parent} is incomplete`
  for await (const page of pagesOf(reader, parent, deadline)) {
    const [unreadable] = page.unreadable
    if (page.unreachable.length > 0)
      throw new DriftwatchError(
        'UNAVAILABLE',
        `${incomplete}: Cloud Run could not reach ${page.unreachable.join(', ')}`,
      )
    if (unreadable !== undefined)
      throw new DriftwatchError('MALFORMED_RESPONSE', `${incomplete}: cannot parse ${unreadable}`)
    yield page
  }
}
