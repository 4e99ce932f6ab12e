import { errorTable } from '../errors.ts'
import { formatImage, type Image } from './image.ts'
import {
  absenceOf,
  isProvenAbsent,
  questionKey,
  type ReferenceQuestion,
  type RegistryAnswer,
  type RegistryAnswers,
  type RegistryQuestion,
} from './registry-answers.ts'

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
  /** The digest to which Cloud Run resolved the reference, if known: that of the image for linux/amd64. */
  readonly resolvedDigest: string | null
  /** The digest that somebody wrote into the reference, or null. It may be that of an index. */
  readonly writtenDigest: string | null
}

export type ImageComparison =
  | {
      readonly result: 'equal' | 'different'
      /** What limits the result, as a sentence, or null. */
      readonly note: string | null
    }
  | {
      readonly result: 'unresolved'
      readonly note: null
      /** Why, as a clause, and what to do next, as a sentence. */
      readonly reason: string
    }

/** An image that is given by its reference alone. */
export function writtenSide(image: Image, resolvedAt: ImageSide['resolvedAt']): ImageSide {
  return { image, resolvedAt, resolvedDigest: null, writtenDigest: image.digest }
}

/**
 * Compares two images: by digest if both digests are known, where an index is its image for linux/amd64; otherwise by tag
 * if both tags are known; otherwise the result is `unresolved`.
 */
export function compareImages(a: ImageSide, b: ImageSide, answers: RegistryAnswers): ImageComparison {
  if (mainDigest(a, answers) && mainDigest(b, answers)) return compareDigests(a, b, answers)
  if (a.image.repository !== b.image.repository) return { result: 'different', note: null }
  if (!a.image.tag || !b.image.tag) return unresolved(tagReason([a, b], answers))
  const tagsProve = a.resolvedAt !== 'old-execution' && b.resolvedAt !== 'old-execution'
  const isSameTag = a.image.tag === b.image.tag
  if (isSameTag && !tagsProve) return unresolved(tagReason([a, b], answers))
  return { result: isSameTag ? 'equal' : 'different', note: tagOnlyNote([a, b], answers) }
}

/** The questions whose answers can still change the result of a comparison. */
export function openQuestions(a: ImageSide, b: ImageSide, answers: RegistryAnswers): RegistryQuestion[] {
  return wantedAnswers(a, b, answers).filter(question => !answers.has(questionKey(question)))
}

/**
 * The digests of an unresolved comparison that may be an index, as questions that the registry did not answer. A revision
 * of the service with such a digest answers too: Cloud Run resolved it, so it is a single image.
 */
export function undecidedDigests(a: ImageSide, b: ImageSide, answers: RegistryAnswers): ReferenceQuestion[] {
  const isUndecided = compareImages(a, b, answers).result === 'unresolved' && [a, b].every(x => mainDigest(x, answers))
  return isUndecided ? [a, b].flatMap(side => (mayBeIndex(side, answers) ? digestQuestion(side, answers) : [])) : []
}

/** Which digest the tag has now; null if the reference has a digest or no tag. */
export function tagQuestion({ image }: ImageSide): ReferenceQuestion | null {
  return image.tag && !image.digest ? { about: 'tag', repository: image.repository, tag: image.tag } : null
}

/** The image with its digest, if that is known. */
export function knownImage(side: ImageSide, answers: RegistryAnswers): Image {
  return { ...side.image, digest: side.image.digest ?? mainDigest(side, answers) }
}

function wantedAnswers(a: ImageSide, b: ImageSide, answers: RegistryAnswers): RegistryQuestion[] {
  const tags = tagQuestions(a, b)
  if (tags.some(question => !answers.has(questionKey(question)))) return tags
  if (!mainDigest(a, answers) || !mainDigest(b, answers) || shareDigest(a, b, answers)) return tags
  const digests = [a, b].flatMap(side => digestQuestion(side, answers))
  const absent = digests.filter(question => answers.get(questionKey(question))?.kind === 'absent')
  return [...tags, ...digests, ...absent.map(absenceOf)]
}

function tagQuestions(a: ImageSide, b: ImageSide): RegistryQuestion[] {
  const sameReference = formatImage(a.image) === formatImage(b.image)
  if (sameReference && !hasDigest(a) && !hasDigest(b)) return []
  return [a, b].flatMap(side => (asksForTag(side) ? (tagQuestion(side) ?? []) : []))
}

function digestQuestion(side: ImageSide, answers: RegistryAnswers): ReferenceQuestion[] {
  const digest = mainDigest(side, answers)
  return digest ? [{ about: 'digest', repository: side.image.repository, digest }] : []
}

function hasDigest({ resolvedDigest, writtenDigest }: ImageSide): boolean {
  return resolvedDigest !== null || writtenDigest !== null
}

/** Whether the current digest of the tag says anything about this image. */
function asksForTag(side: ImageSide): boolean {
  if (side.image.digest || side.resolvedAt === 'old-execution') return false
  return side.resolvedAt === 'now' || !hasDigest(side)
}

/** The digest that the registry currently has for the tag, if that counts. */
function currentDigest(side: ImageSide, answers: RegistryAnswers): string | null {
  const answer = asksForTag(side) ? tagAnswer(side, answers) : undefined
  return answer?.kind === 'digest' ? answer.digest : null
}

/** The digest that says most about what runs. */
function mainDigest(side: ImageSide, answers: RegistryAnswers): string | null {
  return currentDigest(side, answers) ?? side.resolvedDigest ?? side.writtenDigest
}

/** Whether no answer shows what the digest of a side is: Cloud Run did not resolve it, and the registry did not show it. */
function mayBeIndex(side: ImageSide, answers: RegistryAnswers): boolean {
  if (currentDigest(side, answers) === null && side.resolvedDigest !== null) return false
  return digestQuestion(side, answers).some(
    question => answers.get(questionKey(question))?.kind !== 'holds' && !isProvenAbsent(question, answers),
  )
}

function tagAnswer({ image }: ImageSide, answers: RegistryAnswers): RegistryAnswer | undefined {
  return image.tag === null
    ? undefined
    : answers.get(questionKey({ about: 'tag', repository: image.repository, tag: image.tag }))
}

function shareDigest(a: ImageSide, b: ImageSide, answers: RegistryAnswers): boolean {
  const digestsOf = (side: ImageSide) => {
    const current = currentDigest(side, answers)
    return current ? [current] : [side.resolvedDigest, side.writtenDigest].filter(digest => digest !== null)
  }
  return digestsOf(a).some(digest => digestsOf(b).includes(digest))
}

/** The digests of what Cloud Run runs, as far as known: an index, and its images for linux/amd64. */
function runDigests(side: ImageSide, answers: RegistryAnswers): readonly string[] {
  return digestQuestion(side, answers).flatMap(question => {
    const answer = answers.get(questionKey(question))
    return [mainDigest(side, answers) ?? [], answer?.kind === 'holds' ? answer.amd64 : []].flat()
  })
}

function compareDigests(a: ImageSide, b: ImageSide, answers: RegistryAnswers): ImageComparison {
  const note = currentDigestNote([a, b], answers)
  if (shareDigest(a, b, answers)) return { result: 'equal', note: note ?? equalNote(a, b, answers) }
  const ofB = runDigests(b, answers)
  if (runDigests(a, answers).some(digest => ofB.includes(digest))) return { result: 'equal', note }
  const current = [a, b].some(side => currentDigest(side, answers))
  if (!current && a.writtenDigest && b.writtenDigest) {
    const questions = [...digestQuestion(a, answers), ...digestQuestion(b, answers)]
    return { result: 'different', note: note ?? indexNote(questions, answers) }
  }
  const open = [a, b].filter(side => mayBeIndex(side, answers))
  if (open.length === 0) return { result: 'different', note }
  const [failure] = open.flatMap(side => digestQuestion(side, answers)).map(each => failureAndRemedy(each, answers))
  return unresolved(`one may be an index that contains the other, and ${failure}`)
}

function unresolved(reason: string): ImageComparison {
  return { result: 'unresolved', note: null, reason }
}

function tagReason(sides: readonly ImageSide[], answers: RegistryAnswers): string {
  const old = sides.find(side => side.resolvedAt === 'old-execution' && !mainDigest(side, answers))
  if (old)
    return `the execution is older than the revision, and nothing shows what tag ${old.image.tag} was then. A new execution of the job can be compared.`
  const asked = sides.flatMap(side => (mainDigest(side, answers) ? [] : (tagQuestion(side) ?? [])))
  const [failure = 'one has neither a tag nor a digest'] = asked.map(question => failureAndRemedy(question, answers))
  return failure
}

function failureAndRemedy(question: ReferenceQuestion, answers: RegistryAnswers): string {
  const remedy = 'deploy both by the same digest.'
  const answer = answers.get(questionKey(absenceOf(question))) ?? answers.get(questionKey(question))
  if (answer?.kind === 'absent') return `the registry has no such ${question.about}. To compare them, ${remedy}`
  if (answer?.kind !== 'failed') return `no registry was asked. To compare them, ${remedy}`
  const [problem] = answer.message.replace(/^.*?: /, '').split('. ')
  const next = errorTable[answer.code].retryable
    ? 'Driftwatch asks again in the next cycle.'
    : `Check whether Driftwatch may read the registry, or ${remedy}`
  return `the registry did not answer (${answer.code}: ${problem}). ${next}`
}

function currentDigestNote(sides: readonly ImageSide[], answers: RegistryAnswers): string | null {
  const side = sides.find(each => each.resolvedAt === 'execution' && currentDigest(each, answers))
  return side
    ? `Compared by the current digest of tag ${side.image.tag}. The execution may have used an earlier one.`
    : null
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
