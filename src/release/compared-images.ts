import { type ImageSide, openQuestions } from './compare-images.ts'
import { questionKey, type RegistryAnswers, type RegistryQuestion } from './registry-answers.ts'
import { isNewestImageKnown, type Release, type Sighting } from './release.ts'

/** Two sides that a check will hold against each other. */
type Pair = readonly [ImageSide, ImageSide]

/**
 * What registries could still tell about a release: about each pair of images that the checks compare, given the
 * answers so far. Ask, add the answers, and ask again until nothing is open.
 */
export function openQuestionsOf(
  release: Release,
  others: { readonly expected: ImageSide | null; readonly job: Sighting | null; readonly execution: Sighting | null },
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
    each.sighting.kind === 'seen' ? [{ ...each, side: each.sighting.side }] : [],
  )
  const newest = serving[0]
  if (!newest) return []
  const pairs: Pair[] = serving.slice(1).map(each => [each.side, newest.side])
  if (expected) pairs.push(...serving.map(each => [expected, each.side] as const))
  if (newest.revision !== release.madeFromTemplate && release.template.kind === 'seen') {
    pairs.push([release.template.side, newest.side])
  }
  // Job and execution are held against the newest alone.
  if (!isNewestImageKnown(release)) return pairs
  for (const other of [job, execution]) if (other?.kind === 'seen') pairs.push([other.side, newest.side])
  return pairs
}
