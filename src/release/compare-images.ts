import { formatImage, type Image } from './image.ts'
import { questionKey, type RegistryAnswer, type RegistryAnswers, type RegistryQuestion } from './registry-answers.ts'

/**
 * An image to compare. A tag can move, so the time at which it was resolved to a digest matters:
 * - `now`: it is resolved at the next run (a job, `expectedImage`). The current digest in the registry decides.
 * - `deployment`: it was resolved when the revision was created. If that digest is unknown, the current one decides.
 * - `execution`: it was resolved when the execution was created. As for `deployment`, but with a note.
 * - `old-execution`: the execution is older than the serving revision, and the tag may have moved since. Neither the
 *   current digest nor an equal tag proves anything.
 */
export interface ImageSide {
  readonly image: Image
  readonly resolvedAt: 'now' | 'deployment' | 'execution' | 'old-execution'
  /** The digest to which the reference was resolved, if Cloud Run reports it. */
  readonly resolvedDigest: string | null
}

export interface ImageComparison {
  readonly result: 'equal' | 'different' | 'unresolved'
  /** What limits the result, as a sentence, or null. */
  readonly note: string | null
}

/**
 * Compares two images: by digest if both digests are known, where an index equals each image in it; otherwise by tag if
 * both tags are known; otherwise the result is `unresolved`.
 */
export function compareImages(a: ImageSide, b: ImageSide, answers: RegistryAnswers): ImageComparison {
  const [ofA, ofB] = [digestsOf(a, answers), digestsOf(b, answers)]
  if (ofA.length > 0 && ofB.length > 0) return compareDigests(a, b, answers)
  if (a.image.repository !== b.image.repository) return { result: 'different', note: null }
  if (!a.image.tag || !b.image.tag) return { result: 'unresolved', note: null }
  const tagsProve = a.resolvedAt !== 'old-execution' && b.resolvedAt !== 'old-execution'
  const isSameTag = a.image.tag === b.image.tag
  if (isSameTag && !tagsProve) return { result: 'unresolved', note: null }
  return { result: isSameTag ? 'equal' : 'different', note: tagOnlyNote([a, b], answers) }
}

/** The questions whose answers can still change the result of a comparison. */
export function openQuestions(a: ImageSide, b: ImageSide, answers: RegistryAnswers): RegistryQuestion[] {
  return wantedAnswers(a, b, answers).filter(question => !answers.has(questionKey(question)))
}

/** The image with its digest, if that is known. */
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

/** Whether the current digest of the tag says anything about this image. */
function asksForTag(side: ImageSide): boolean {
  if (side.image.digest || side.resolvedAt === 'old-execution') return false
  return side.resolvedAt === 'now' || side.resolvedDigest === null
}

function currentDigestNote(sides: readonly ImageSide[], answers: RegistryAnswers): string | null {
  const side = sides.find(
    each => each.resolvedAt === 'execution' && asksForTag(each) && tagAnswer(each, answers)?.kind === 'digest',
  )
  return side
    ? `Compared by the current digest of tag ${side.image.tag}. The execution may have used an earlier one.`
    : null
}

/** All digests that identify the image: of its reference, of Cloud Run, or of the registry. */
function digestsOf(side: ImageSide, answers: RegistryAnswers): string[] {
  const answer = asksForTag(side) ? tagAnswer(side, answers) : undefined
  if (answer?.kind === 'digest') return [answer.digest]
  return [side.image.digest, side.resolvedDigest].filter(digest => digest !== null)
}

function tagAnswer({ image }: ImageSide, answers: RegistryAnswers): RegistryAnswer | undefined {
  return image.tag === null
    ? undefined
    : answers.get(questionKey({ about: 'tag', repository: image.repository, tag: image.tag }))
}

function compareDigests(a: ImageSide, b: ImageSide, answers: RegistryAnswers): ImageComparison {
  const [ofA, ofB] = [digestsOf(a, answers), digestsOf(b, answers)]
  const note = currentDigestNote([a, b], answers)
  if (ofA.some(digest => ofB.includes(digest))) return { result: 'equal', note: note ?? equalNote(a, b, answers) }
  const contains = (index: ImageSide, outer: string, inner: string) => {
    const answer = answers.get(questionKey({ about: 'digest', repository: index.image.repository, digest: outer }))
    return answer?.kind === 'holds' && answer.digests.includes(inner)
  }
  const related = ofA.some(x => ofB.some(y => contains(a, x, y) || contains(b, y, x)))
  if (related) return { result: 'equal', note }
  const questions = [...digestQuestions(a, ofA), ...digestQuestions(b, ofB)]
  return { result: 'different', note: note ?? indexNote(questions, answers) }
}

/** Equal digests prove equality, unless the registry did not confirm the current digest of a tag. */
function equalNote(a: ImageSide, b: ImageSide, answers: RegistryAnswers): string | null {
  const unconfirmed = [a, b].filter(side => side.resolvedAt === 'now' && asksForTag(side))
  const unanswered = unconfirmed.filter(side => tagAnswer(side, answers)?.kind !== 'digest')
  if (unanswered.length > 0) return tagOnlyNote(unanswered, answers)
  if (a.image.repository === b.image.repository) return null
  return `The same digest is used from two repositories: ${a.image.repository} and ${b.image.repository}.`
}

function tagOnlyNote(sides: readonly ImageSide[], answers: RegistryAnswers): string {
  const reasons = sides.flatMap(({ image: { repository, tag } }) =>
    tag === null ? [] : (failureOf({ about: 'tag', repository, tag }, answers) ?? []),
  )
  return `Compared by tag only: ${reasons[0] ?? 'the registry was not asked for the current digest'}.`
}

function indexNote(questions: readonly RegistryQuestion[], answers: RegistryAnswers): string | null {
  const reasons = questions.flatMap(question => failureOf(question, answers) ?? [])
  if (reasons.length > 0) return `Different digests count as different images: ${reasons[0]}.`
  return questions.some(question => answers.has(questionKey(question)))
    ? null
    : 'Different digests count as different images: the registry was not asked whether one is an index with the other.'
}

function failureOf(question: RegistryQuestion, answers: RegistryAnswers): string | null {
  const answer = answers.get(questionKey(question))
  if (answer?.kind === 'failed') return `the registry did not answer (${answer.code}: ${answer.message})`
  return answer?.kind === 'absent' ? `the registry has no ${questionKey(question)}` : null
}
