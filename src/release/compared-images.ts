import { type ImageSide, openQuestions } from './compare-images.ts'
import { questionKey, type RegistryAnswers, type RegistryQuestion } from './registry-answers.ts'
import { type ContainerImage, isNewestImageKnown, type Release } from './release.ts'

/** Two images that a check compares. */
type Pair = readonly [ImageSide, ImageSide]

/** The open questions about the images that the checks compare. Add the answers and call again until there are none. */
export function openQuestionsOf(
  release: Release,
  others: {
    readonly expected: ImageSide | null
    readonly job: ContainerImage | null
    readonly execution: ContainerImage | null
  },
  answers: RegistryAnswers,
): RegistryQuestion[] {
  const questions = new Map<string, RegistryQuestion>()
  for (const [a, b] of comparedPairs(release, others)) {
    for (const question of openQuestions(a, b, answers)) questions.set(questionKey(question), question)
  }
  return [...questions.values()]
}

function comparedPairs(
  release: Release,
  { expected, job, execution }: Parameters<typeof openQuestionsOf>[1],
): readonly Pair[] {
  const serving = release.serving.flatMap(each =>
    each.image.kind === 'found' ? [{ ...each, side: each.image.side }] : [],
  )
  const newest = serving[0]
  if (!newest) return []
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
