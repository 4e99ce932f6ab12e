import { formatImage, type Image } from './image.ts'
import { questionKey, type RegistryAnswer, type RegistryAnswers, type RegistryQuestion } from './registry-answers.ts'

/**
 * One side of a comparison. `tagMeans` says when the tag meant what counts:
 * - `now`: it will be resolved when it runs (a job, a wish): the registry's answer of now decides
 * - `then`: it was resolved when the thing was made: what it stood for decides, the registry helps where that is not known
 * - `ran`: as `then`, of something that ran: a note says where only the registry's answer of now decided
 * - `long-ago`: as `ran`, and the tag has been deployed since: neither the registry nor an equal tag proves anything
 */
export interface ImageSide {
  readonly image: Image
  readonly resolvedAt: 'now' | 'then' | 'ran' | 'long-ago'
  /** The digest that the reference is known to stand for without asking, or null. */
  readonly resolvedDigest: string | null
}

export interface ImageComparison {
  readonly result: 'equal' | 'different' | 'unresolved'
  /** What the reader should know of how it was decided, or null. */
  readonly note: string | null
}

/**
 * Whether two sides are the same image. Where both digests are known they decide, unless the registry shows one to be
 * the index that holds the other; else both tags, where they are known; else nothing does.
 */
export function compareImages(a: ImageSide, b: ImageSide, answers: RegistryAnswers): ImageComparison {
  const [ofA, ofB] = [digestsOf(a, answers), digestsOf(b, answers)]
  if (ofA.length > 0 && ofB.length > 0) return compareDigests(a, b, answers)
  if (a.image.repository !== b.image.repository) return decided('different', null)
  if (!a.image.tag || !b.image.tag) return { result: 'unresolved', note: null }
  const tagsProve = a.resolvedAt !== 'long-ago' && b.resolvedAt !== 'long-ago'
  if (a.image.tag === b.image.tag && !tagsProve) return { result: 'unresolved', note: null }
  return decided(a.image.tag === b.image.tag ? 'equal' : 'different', byTag([a, b], answers))
}

/** What a registry could still tell about a pair, given what it told so far. Empty: the pair is decided, or never will be. */
export function openQuestions(a: ImageSide, b: ImageSide, answers: RegistryAnswers): RegistryQuestion[] {
  return wantedAnswers(a, b, answers).filter(question => !answers.has(questionKey(question)))
}

/** The image with the digest that it is known by, its own or what its reference stands for. */
export function knownImage(side: ImageSide, answers: RegistryAnswers): Image {
  return { ...side.image, digest: side.image.digest ?? digestsOf(side, answers)[0] ?? null }
}

function wantedAnswers(a: ImageSide, b: ImageSide, answers: RegistryAnswers): RegistryQuestion[] {
  const tags = tagQuestions(a, b)
  if (tags.some(question => !answers.has(questionKey(question)))) return tags
  const [ofA, ofB] = [digestsOf(a, answers), digestsOf(b, answers)]
  if (ofA.length === 0 || ofB.length === 0 || ofA.some(digest => ofB.includes(digest))) return tags
  return [...tags, ...digestQuestions(a, ofA), ...digestQuestions(b, ofB)]
}

function tagQuestions(a: ImageSide, b: ImageSide): RegistryQuestion[] {
  const sameReference = formatImage(a.image) === formatImage(b.image)
  if (sameReference && !a.resolvedDigest && !b.resolvedDigest) return []
  return [a, b].flatMap(side =>
    side.image.tag && asksForTag(side)
      ? [{ about: 'tag', repository: side.image.repository, tag: side.image.tag } as const]
      : [],
  )
}

function digestQuestions(side: ImageSide, digests: readonly string[]): RegistryQuestion[] {
  return digests.map(digest => ({ about: 'digest', repository: side.image.repository, digest }))
}

/** Whether the registry's digest of now says something of this side. */
function asksForTag(side: ImageSide): boolean {
  if (side.image.digest || side.resolvedAt === 'long-ago') return false
  return side.resolvedAt === 'now' || side.resolvedDigest === null
}

/** Says so where what is known of a tag that has run is only what it means by now. */
function hindsightNote(sides: readonly ImageSide[], answers: RegistryAnswers): string | null {
  const side = sides.find(
    each => each.resolvedAt === 'ran' && asksForTag(each) && tagAnswer(each, answers)?.kind === 'digest',
  )
  return side ? `compared by what the tag ${side.image.tag} holds now, which may not be what it held when it ran` : null
}

/** Every digest that the side is known by: its own, and what its reference stands for. */
function digestsOf(side: ImageSide, answers: RegistryAnswers): string[] {
  const told = asksForTag(side) ? tagAnswer(side, answers) : undefined
  if (told?.kind === 'digest') return [told.digest]
  return [side.image.digest, side.resolvedDigest].filter(digest => digest !== null)
}

function tagAnswer({ image }: ImageSide, answers: RegistryAnswers): RegistryAnswer | undefined {
  return image.tag === null
    ? undefined
    : answers.get(questionKey({ about: 'tag', repository: image.repository, tag: image.tag }))
}

function compareDigests(a: ImageSide, b: ImageSide, answers: RegistryAnswers): ImageComparison {
  const [ofA, ofB] = [digestsOf(a, answers), digestsOf(b, answers)]
  const hindsight = hindsightNote([a, b], answers)
  if (ofA.some(digest => ofB.includes(digest))) return decided('equal', hindsight ?? equalNote(a, b, answers))
  const held = (from: ImageSide, outer: string, inner: string) => {
    const answer = answers.get(questionKey({ about: 'digest', repository: from.image.repository, digest: outer }))
    return answer?.kind === 'holds' && answer.digests.includes(inner)
  }
  const related = ofA.some(x => ofB.some(y => held(a, x, y) || held(b, y, x)))
  return related ? decided('equal', hindsight) : decided('different', hindsight ?? indexNote(a, b, ofA, ofB, answers))
}

function decided(result: 'equal' | 'different', note: string | null): ImageComparison {
  return { result, note }
}

/** Equal digests are beyond doubt, unless one of them is only what a tag was said to stand for. */
function equalNote(a: ImageSide, b: ImageSide, answers: RegistryAnswers): string | null {
  const unconfirmed = [a, b].filter(side => side.resolvedAt === 'now' && asksForTag(side))
  const silent = unconfirmed.filter(side => tagAnswer(side, answers)?.kind !== 'digest')
  if (silent.length > 0) return byTag(silent, answers)
  if (a.image.repository === b.image.repository) return null
  return `the same bytes from two repositories: ${a.image.repository} and ${b.image.repository}`
}

function byTag(sides: readonly ImageSide[], answers: RegistryAnswers): string {
  const reasons = sides.flatMap(({ image: { repository, tag } }) =>
    tag === null ? [] : (silence({ about: 'tag', repository, tag }, answers) ?? []),
  )
  return `compared by tag only: ${reasons[0] ?? 'no registry was asked what the tag holds now'}`
}

function indexNote(
  a: ImageSide,
  b: ImageSide,
  ofA: readonly string[],
  ofB: readonly string[],
  answers: RegistryAnswers,
): string | null {
  const questions = [...digestQuestions(a, ofA), ...digestQuestions(b, ofB)]
  const reasons = questions.flatMap(question => silence(question, answers) ?? [])
  if (reasons.length > 0) return `two digests are taken for two images: ${reasons[0]}`
  return questions.some(question => answers.has(questionKey(question)))
    ? null
    : 'two digests are taken for two images: no registry was asked whether one is an index that holds the other'
}

function silence(question: RegistryQuestion, answers: RegistryAnswers): string | null {
  const answer = answers.get(questionKey(question))
  if (answer?.kind === 'failed') return `the registry did not tell (${answer.code}: ${answer.message})`
  return answer?.kind === 'absent' ? `the registry has no ${questionKey(question)}` : null
}
