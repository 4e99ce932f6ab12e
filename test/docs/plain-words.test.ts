import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const top = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(join(top, path), 'utf8')
const list = (pattern: string) => globSync(pattern, { cwd: top }).sort()

/** Phrases to avoid, and what to write instead (decision 0065). */
const phrases: readonly (readonly [avoid: RegExp, write: string])[] = [
  [/\b(who|whom|which|what)ever (asks|reads|holds|may|can|has|wants|makes)\b|\bwhom?ever\b/i, 'any client, anyone who'],
  [/(?<!user )\bnobody\b/i, 'no one, or a sentence with another subject'],
  [/\bwho asks\b/i, 'the client, the caller'],
  [/\b(a|each|every|one|another|last|next|first) look\b(?! at\b)/i, 'probe, observation'],
  [/\blooks? failed\b|\blook(s|ed|ing)? at\b|\blooks again\b/i, 'probe, check, read'],
  [/\bmend(s|ed|ing)?\b/i, 'fix, remediate'],
  [/\bst(and|ands|ood) still\b/i, 'stalled'],
  [/\bwhat stands\b/i, 'the current state'],
  [/\bbelieved\b/i, 'valid'],
  [/\billegible\b/i, 'unparseable'],
  [/\bwithout an end\b/i, 'never-ending'],
  [/\b(is|are|was|were) (told|said)\b|\btold (of|as)\b/i, 'reported, logged'],
  [/\b(give|gives|gave|given) (back|up)\b/i, 'release, abandon, stop'],
  [/\bleft out\b|\bleaves? out\b/i, 'omitted, skipped'],
  [/\bkept (answers?|bytes)\b/i, 'cached, response cache'],
  [/\bpushed again\b/i, 're-pushed'],
  [/\bsince (just now|\d+ ?(ms|s|min|m|h|d) ago)\b/i, 'for 14 s'],
  [/\b(that|which|it) (is|are) none\b/i, 'invalid, not a valid'],
  [/\bis no (drift|port|JSON|image|URL|name|digest|tag|number|file|regular file)\b/i, 'is not, is not a valid'],
  [/\bmay do nothing but\b/i, 'has only the privilege'],
  [/\bheld against\b/i, 'compared with'],
  [/\bbefalls?\b|\bin vain\b|\bfor ever\b/i, 'happens, without success, forever'],
]

function avoided(file: string, text: string): string[] {
  return text.split('\n').flatMap((line, index) =>
    phrases.flatMap(([avoid, write]) => {
      const phrase = avoid.exec(line)?.[0]
      return phrase === undefined ? [] : [`${file}:${index + 1}: "${phrase}", write: ${write}`]
    }),
  )
}

/** A source file whose code is blanked, so that line numbers stay: its string literals, or its comments. */
function only(kind: 'strings' | 'comments', source: string): string {
  const tokens = /(\/\*[\s\S]*?\*\/|\/\/.*)|('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`)|[^\n]/g
  return source.replaceAll(tokens, (_, comment = '', text = '') => (kind === 'strings' ? text : comment))
}

t.test('an avoided phrase is found, with its line', async t => {
  const source = "const a = 'ok' // nobody\nlog('a look failed', `x\ny whoever`)"
  t.strictSame(avoided('a.md', 'fine\nThe process stood still.'), ['a.md:2: "stood still", write: stalled'])
  t.strictSame(avoided('a.ts', only('comments', source)).length, 1)
  t.strictSame(
    avoided('a.ts', only('strings', source)).map(line => line.slice(0, 'a.ts:2'.length)),
    ['a.ts:2', 'a.ts:2', 'a.ts:3'],
  )
})

t.test('pages use plain words', async t => {
  const pages = [...list('*.md'), ...list('docs/**/*.md')]
  t.ok(pages.length > 50)
  t.strictSame(
    pages.flatMap(page => avoided(page, read(page))),
    [],
  )
})

/** This file contains the avoided phrases. */
const isChecked = (file: string) => file !== 'test/docs/plain-words.test.ts'

for (const kind of ['strings', 'comments'] as const) {
  t.test(`${kind} of source and tests use plain words`, async t => {
    const files = list('{src,test,sandbox,bench}/**/*.{ts,js}').filter(isChecked)
    t.ok(files.length > 400)
    t.strictSame(
      files.flatMap(file => avoided(file, only(kind, read(file)))),
      [],
    )
  })
}

t.test('comments and names of timelines in deploy/ use plain words', async t => {
  const files = list('deploy/**/*.yaml')
  t.ok(files.length > 5)
  t.strictSame(
    files.flatMap(file => avoided(file, read(file))),
    [],
  )
})
