import t from 'tap'
import { listPages } from '../../../src/clients/google/list-pages.ts'

interface Page {
  readonly nextPageToken: string
  readonly items: readonly string[]
}

/** Reads a list whose pages come from `pageOf`, at most as long as it ends. */
async function readAll(pageOf: (pageToken: string, count: number) => Page) {
  const items: string[] = []
  let count = 0
  const read = async (pageToken: string) => pageOf(pageToken, ++count)
  const error = await (async () => {
    for await (const page of listPages('services of acme', read, page => page.items.length)) items.push(...page.items)
    return null
  })().catch((thrown: unknown) => thrown)
  return { items, error, count }
}

t.test('pages are read up to an empty page token', async t => {
  const found = await readAll((pageToken, count) => ({
    items: [`${pageToken}!`],
    nextPageToken: count === 3 ? '' : `t${count}`,
  }))
  t.strictSame(found, { items: ['!', 't1!', 't2!'], error: null, count: 3 })
})

t.test('a list that never ends is MALFORMED_RESPONSE after a bounded number of pages', async t => {
  const never = { code: 'MALFORMED_RESPONSE', message: /^the list of services of acme never ends/ }
  const same = await readAll(() => ({ items: ['a'], nextPageToken: 'same' }))
  t.match(same, { error: never, count: 2 }, 'a page token repeats')
  const empty = await readAll((_, count) => ({ items: [], nextPageToken: `t${count}` }))
  t.match(empty, { error: never, count: 20 }, 'pages add nothing new')
  const long = await readAll((_, count) => ({ items: [`${count}`], nextPageToken: `t${count}` }))
  t.match(long, { error: never, count: 201 }, 'there are too many pages')
})
