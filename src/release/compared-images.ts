import { type ImageSide, openQuestions, tagQuestion, undecidedDigests } from './compare-images.ts'
import {
  absenceOf,
  questionKey,
  type ReferenceQuestion,
  type RegistryAnswers,
  type RegistryQuestion,
} from './registry-answers.ts'
import { type ContainerImage, isNewestImageKnown, type Release } from './release.ts'

/** The images of a stack that the checks compare with those of its release. */
export interface ComparedImages {
  /** Null: the service does not exist. */
  readonly release: Release | null
  readonly expected: ImageSide | null
  readonly job: ContainerImage | null
  readonly execution: ContainerImage | null
}

/** Two images that a check compares. */
type Pair = readonly [ImageSide, ImageSide]

/** The open questions about the images that the checks compare. Add the answers and call again until there are none. */
export function openQuestionsOf(images: ComparedImages, answers: RegistryAnswers): RegistryQuestion[] {
  const compared = comparedPairs(images).flatMap(([a, b]) => openQuestions(a, b, answers))
  const questions = [...compared, ...nextRunQuestions(images, answers)]
  return [...new Map(questions.map(question => [questionKey(question), question])).values()]
}

/** The digests of which only older revisions can still show that they are not an index. */
export function undecidedDigestsOf(images: ComparedImages, answers: RegistryAnswers): ReferenceQuestion[] {
  return comparedPairs(images).flatMap(([a, b]) => undecidedDigests(a, b, answers))
}

/** Whether the tag of the job still exists. */
function nextRunQuestions({ job }: ComparedImages, answers: RegistryAnswers): RegistryQuestion[] {
  const tag = job?.kind === 'found' ? tagQuestion(job.side) : null
  if (!tag) return []
  const wanted = answers.get(questionKey(tag))?.kind === 'absent' ? absenceOf(tag) : tag
  return answers.has(questionKey(wanted)) ? [] : [wanted]
}

function comparedPairs({ release, expected, job, execution }: ComparedImages): readonly Pair[] {
  const serving = (release?.serving ?? []).flatMap(each =>
    each.image.kind === 'found' ? [{ ...each, side: each.image.side }] : [],
  )
  const newest = serving[0]
  if (!newest || !release) return []
  const pairs: Pair[] = serving.slice(1).map(each => [each.side, newest.side])
  if (expected) pairs.push(...serving.map(each => [expected, each.side] as const))
  if (newest.revision !== release.madeFromTemplate && release.template.kind === 'found') {
    pairs.push([release.template.side, newest.side])
  }
  // Job and execution are compared with the newest serving image only.
  if (!isNewestImageKnown(release)) return pairs
  for (const other of [job, execution]) if (other?.kind === 'found') pairs.push([other.side, newest.side])
  return pairs
}
