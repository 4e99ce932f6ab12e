import { DriftwatchError } from '../../errors.ts'

/** More pages than any list that Driftwatch reads has. */
const maxPages = 200

/** Consecutive pages that add nothing new. */
const maxPagesWithoutNew = 20

/**
 * Reads a list page by page, up to an empty page token. Rejects with MALFORMED_RESPONSE if the list never ends: a page
 * token repeats, pages add nothing new, or there are too many of them.
 */
export async function* listPages<Page extends { readonly nextPageToken: string }>(
  list: string,
  read: (pageToken: string) => Promise<Page>,
  countNew: (page: Page) => number,
): AsyncGenerator<Page> {
  const tokens = new Set<string>()
  let withoutNew = 0
  for (let pageToken = ''; ; ) {
    const page = await read(pageToken)
    withoutNew = countNew(page) === 0 ? withoutNew + 1 : 0
    pageToken = page.nextPageToken
    const isEndless = tokens.has(pageToken) || withoutNew >= maxPagesWithoutNew || tokens.size >= maxPages
    if (pageToken && isEndless)
      throw new DriftwatchError('MALFORMED_RESPONSE', `the list of ${list} never ends: stopped reading its pages`)
    tokens.add(pageToken)
    yield page
    if (!pageToken) return
  }
}
