import fc from 'fast-check'
import t from 'tap'
import { compareImages, type ImageSide, openQuestions } from '../../src/release/compare-images.ts'
import { formatImage, parseImage, pinnedImage, shortImage } from '../../src/release/image.ts'
import { questionKey, type RegistryAnswer } from '../../src/release/registry-answers.ts'

const repository = 'europe-docker.pkg.dev/acme/app/runtime'
const [a = '', b = '', c = ''] = ['a', 'b', 'c'].map(letter => `sha256:${letter.repeat(64)}`)

t.test('an image reference is parsed into repository, tag and digest', async t => {
  const cases: [string, ReturnType<typeof parseImage>][] = [
    [repository, { repository, tag: 'latest', digest: null }],
    [`${repository}:v1`, { repository, tag: 'v1', digest: null }],
    [`${repository}@${a}`, { repository, tag: null, digest: a }],
    [`${repository}:v1@${a}`, { repository, tag: 'v1', digest: a }],
    [`${repository}@${a.toUpperCase().replace('SHA256', 'sha256')}`, { repository, tag: null, digest: a }],
    ['localhost:5000/app', { repository: 'localhost:5000/app', tag: 'latest', digest: null }],
    ['localhost:5000/app:5000', { repository: 'localhost:5000/app', tag: '5000', digest: null }],
    ['nginx', { repository: 'nginx', tag: 'latest', digest: null }],
    ['', null],
    [' nginx', null],
    ['nginx\n', null],
    ['nginx:', null],
    ['nginx@', null],
    ['nginx:a:b', null],
    ['/nginx', null],
    ['nginx/', null],
    ['https://gcr.io/acme/app', null],
    [`gcr.io/${'a'.repeat(600)}`, null],
  ]
  for (const [text, image] of cases) t.strictSame(parseImage(text), image, JSON.stringify(text.slice(0, 80)))
})

t.test('a parsed reference is formatted unchanged', async t => {
  const part = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,10}$/)
  const image = fc.record({
    repository: fc.array(part, { minLength: 1, maxLength: 4 }).map(parts => parts.join('/')),
    tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/)),
    digest: fc.option(fc.stringMatching(/^[0-9a-f]{64}$/).map(hex => `sha256:${hex}`)),
  })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(image, given => {
        const named = given.tag === null && given.digest === null ? { ...given, tag: 'latest' } : given
        const back = parseImage(formatImage(named))
        return JSON.stringify(back) === JSON.stringify(named) && parseImage(pinnedImage(named)) !== null
      }),
    ),
  )
  t.doesNotThrow(() =>
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 600 }), text => parseImage(text) !== undefined)),
  )
  t.equal(shortImage({ repository, tag: null, digest: a }), 'runtime@aaaaaaaaaaaa')
})

/** The digest of a deployment was resolved by Cloud Run, others were written. */
const side = (
  text: string,
  resolvedAt: ImageSide['resolvedAt'] = 'deployment',
  resolvedDigest: string | null = null,
): ImageSide => {
  const image = parseImage(text)
  if (!image) throw new Error(`${text} is not an image`)
  return resolvedAt === 'deployment'
    ? { image, resolvedAt, resolvedDigest: image.digest ?? resolvedDigest, writtenDigest: null }
    : { image, resolvedAt, resolvedDigest, writtenDigest: image.digest }
}
/** A revision that Cloud Run made from a template with another digest. */
const madeFrom = (written: string, resolved: string): ImageSide => ({
  ...side(`${repository}@${resolved}`),
  writtenDigest: written,
})
const answers = (known: Record<string, RegistryAnswer>) => new Map(Object.entries(known))
const digest = (value: string): RegistryAnswer => ({ kind: 'digest', digest: value })
const single: RegistryAnswer = { kind: 'holds', digests: [], amd64: [] }
const failed: RegistryAnswer = { kind: 'failed', code: 'PERMISSION_DENIED', message: 'x: no. Do this.' }

t.test('images are compared by digest, then by tag', async t => {
  const cases: [string, ImageSide, ImageSide, Record<string, RegistryAnswer>, string][] = [
    ['equal digests with different tags', side(`${repository}:v1@${a}`), side(`${repository}:v2@${a}`), {}, 'equal'],
    ['equal digests in different repositories', side(`${repository}@${a}`), side(`other@${a}`), {}, 'equal'],
    [
      'different digests with equal tags',
      side(`${repository}:v1@${a}`),
      side(`${repository}:v1@${b}`),
      {},
      'different',
    ],
    ['equal tags', side(`${repository}:v1`), side(`${repository}:v1`, 'now'), {}, 'equal'],
    ['different tags', side(`${repository}:v1`), side(`${repository}:v2`, 'now'), {}, 'different'],
    ['a reference without tag and digest is latest', side(repository), side(`${repository}:latest`), {}, 'equal'],
    ['repositories with a common prefix', side(`${repository}:v1`), side(`${repository}-canary:v1`), {}, 'different'],
    ['a tag and a digest', side(`${repository}@${a}`), side(`${repository}:v1`, 'now'), {}, 'unresolved'],
    [
      'a tag that was resolved to the digest',
      side(`${repository}@${a}`),
      side(`${repository}:v1`, 'now', a),
      {},
      'equal',
    ],
    [
      'the current digest takes precedence over the resolved one for the next run',
      side(`${repository}@${a}`),
      side(`${repository}:v1`, 'now', a),
      { [`${repository}:v1`]: digest(b), [`${repository}@${b}`]: single },
      'different',
    ],
    [
      'the current digest of a tag may be that of an index',
      side(`${repository}@${a}`),
      side(`${repository}:v1`, 'now', a),
      { [`${repository}:v1`]: digest(b), [`${repository}@${b}`]: failed },
      'unresolved',
    ],
    [
      'the resolved digest takes precedence over the current one after a deployment',
      side(`${repository}@${a}`),
      side(`${repository}:v1`, 'deployment', a),
      { [`${repository}:v1`]: digest(b) },
      'equal',
    ],
    [
      'two tags of one digest',
      side(`${repository}:v1`),
      side(`${repository}:v2`, 'now'),
      { [`${repository}:v1`]: digest(a), [`${repository}:v2`]: digest(a) },
      'equal',
    ],
    ['two digests that Cloud Run resolved', side(`${repository}@${a}`), side(`${repository}@${b}`), {}, 'different'],
    ['two written digests', side(`${repository}@${a}`, 'now'), side(`${repository}@${b}`, 'now'), {}, 'different'],
    [
      'a resolved and a written digest, and no registry',
      side(`${repository}@${a}`),
      side(`${repository}@${b}`, 'now'),
      {},
      'unresolved',
    ],
    [
      'a resolved and a written digest, and a registry that does not answer',
      side(`${repository}@${a}`),
      side(`${repository}@${b}`, 'now'),
      { [`${repository}@${b}`]: failed, [`${repository}@${a}`]: single },
      'unresolved',
    ],
    [
      'a written digest that may be absent',
      side(`${repository}@${a}`),
      side(`${repository}@${b}`, 'now'),
      { [`${repository}@${b}`]: { kind: 'absent' }, [`absence of ${repository}@${b}`]: failed },
      'unresolved',
    ],
    [
      'a written digest that is certainly absent',
      side(`${repository}@${a}`),
      side(`${repository}@${b}`, 'now'),
      { [`${repository}@${b}`]: { kind: 'absent' }, [`absence of ${repository}@${b}`]: { kind: 'absent' } },
      'different',
    ],
    [
      'a written digest that is a single image, while nothing is known of the resolved one',
      side(`${repository}@${a}`),
      side(`${repository}@${b}`, 'now'),
      { [`${repository}@${b}`]: single },
      'different',
    ],
    [
      'the digest that the template wrote, and the same one',
      madeFrom(b, a),
      side(`${repository}@${b}`, 'now'),
      {},
      'equal',
    ],
    [
      'the digest that the template wrote, and another written one',
      madeFrom(b, a),
      side(`${repository}@${c}`, 'now'),
      {},
      'different',
    ],
    [
      'an index that contains the other digest for linux/amd64',
      side(`${repository}@${a}`),
      side(`${repository}@${b}`, 'now'),
      { [`${repository}@${b}`]: { kind: 'holds', digests: [a], amd64: [a] } },
      'equal',
    ],
    [
      'an index that contains the other digest for another platform',
      side(`${repository}@${a}`),
      side(`${repository}@${b}`, 'now'),
      { [`${repository}@${b}`]: { kind: 'holds', digests: [a, c], amd64: [c] } },
      'different',
    ],
    [
      'an index that does not contain the other digest',
      side(`${repository}@${a}`),
      side(`${repository}@${b}`, 'now'),
      { [`${repository}@${b}`]: single },
      'different',
    ],
    [
      'two indexes with the same image for linux/amd64',
      side(`${repository}@${a}`, 'now'),
      side(`${repository}@${b}`, 'now'),
      {
        [`${repository}@${a}`]: { kind: 'holds', digests: [c], amd64: [c] },
        [`${repository}@${b}`]: { kind: 'holds', digests: [c], amd64: [c] },
      },
      'equal',
    ],
    [
      'another variant for linux/amd64 than the one that Cloud Run resolved',
      madeFrom(b, a),
      side(`${repository}@${c}`, 'now'),
      { [`${repository}@${b}`]: { kind: 'holds', digests: [a, c], amd64: [a, c] }, [`${repository}@${c}`]: single },
      'different',
    ],
    [
      'an equal tag of an old execution',
      side(`${repository}:v1`),
      side(`${repository}:v1`, 'old-execution'),
      {},
      'unresolved',
    ],
    [
      'a different tag of an old execution',
      side(`${repository}:v1`),
      side(`${repository}:v0`, 'old-execution'),
      {},
      'different',
    ],
    [
      'the current digest proves nothing about an old execution',
      side(`${repository}@${a}`),
      side(`${repository}:v1`, 'old-execution'),
      { [`${repository}:v1`]: digest(a) },
      'unresolved',
    ],
  ]
  for (const [title, x, y, known, result] of cases) {
    t.equal(compareImages(x, y, answers(known)).result, result, title)
    t.equal(compareImages(y, x, answers(known)).result, result, `${title}, in reverse`)
  }
})

t.test('a note reports that only tags were compared, and why', async t => {
  const note = (known: Record<string, RegistryAnswer>) =>
    compareImages(side(`${repository}@${a}`), side(`${repository}:v1`, 'now', a), answers(known)).note
  t.match(note({}), /by tag only: the registry was not asked/)
  t.match(
    note({ [`${repository}:v1`]: { kind: 'failed', code: 'PERMISSION_DENIED', message: 'no' } }),
    /by tag only: .*PERMISSION_DENIED/,
  )
  t.equal(note({ [`${repository}:v1`]: digest(a) }), null)
})

t.test('registries are requested only if digests do not decide', async t => {
  const asked = (x: ImageSide, y: ImageSide, known: Record<string, RegistryAnswer> = {}) =>
    openQuestions(x, y, answers(known)).map(questionKey)
  t.strictSame(asked(side(`${repository}@${a}`), side(`${repository}:v1@${a}`)), [])
  t.strictSame(
    asked(side(`${repository}:v1`), side(`${repository}:v1`, 'now')),
    [],
    'equal references have equal digests',
  )
  t.strictSame(asked(side(`${repository}@${a}`), side(`${repository}:v1`, 'now')), [`${repository}:v1`])
  t.strictSame(asked(side(`${repository}@${a}`), side(`${repository}:v1`, 'deployment', a)), [])
  t.strictSame(asked(side(`${repository}@${a}`), side(`${repository}:v1`, 'old-execution')), [])
  t.strictSame(
    asked(side(`${repository}@${a}`), side(`${repository}:v1`, 'now'), { [`${repository}:v1`]: digest(b) }),
    [`${repository}@${a}`, `${repository}@${b}`],
    'one may be the index of the other',
  )
  t.strictSame(
    asked(side(`${repository}@${a}`), side(`${repository}:v1`, 'now'), { [`${repository}:v1`]: digest(a) }),
    [],
  )
})
