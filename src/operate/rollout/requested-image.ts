import { askOpen } from '../../probes/registry.ts'
import { compareImages, openQuestions } from '../../release/compare-images.ts'
import { parseImage } from '../../release/image.ts'
import { expectedSide } from '../../release/release.ts'
import { askRegistry } from './image-presence.ts'
import type { MigrationPlan } from './migration-plan.ts'
import type { Operation } from './operation.ts'
import { refused } from './planned-step.ts'
import type { StackSnapshot } from './stack-snapshot.ts'

/**
 * A migration runs only the image in service, so a requested image must be the same. A tag is resolved by the registry;
 * without a registry it is compared with the tag that the revision was deployed from. Throws REFUSED.
 */
export async function assertInService(
  operation: Operation,
  requested: string,
  { release }: StackSnapshot,
  { image, revision }: MigrationPlan,
): Promise<void> {
  if (!parseImage(requested))
    throw refused(
      `IMAGE ${JSON.stringify(requested)} is not a valid image: expected host/path:tag or host/path@sha256:...`,
    )
  const expected = release && expectedSide(requested, release)
  const serving = release?.serving.find(({ name }) => name === revision)?.image
  if (!expected || serving?.kind !== 'found')
    throw refused(`cannot compare IMAGE ${requested}: the image of revision ${revision} is unknown`)
  const answers = await askRegistry(operation, registry =>
    askOpen(registry, known => openQuestions(expected, serving.side, known)),
  )
  const { result } = compareImages(expected, serving.side, answers ?? new Map())
  if (result === 'equal') return
  const state = `IMAGE is ${requested}, but revision ${revision} runs ${image}`
  throw refused(
    result === 'different'
      ? `${state}. A migration runs the image in service; deploy the image first.`
      : `${state}, which may be another image. Pass the digest that the revision runs.`,
  )
}
