import { openRegistryReader } from '../../clients/registry/registry-reader.ts'
import { startDeadline } from '../../concurrency/deadline.ts'
import { askOpen } from '../../probes/registry.ts'
import { compareImages, openQuestions } from '../../release/compare-images.ts'
import { parseImage } from '../../release/image.ts'
import { expectedSide } from '../../release/release.ts'
import { openRegistryClient } from '../../watch.ts'
import type { MigrationPlan } from './migration-plan.ts'
import type { Operation } from './operation.ts'
import { refused } from './planned-step.ts'
import type { StackSnapshot } from './stack-snapshot.ts'

/**
 * An image that was named must be the one that serves: the lock is to nothing else. A tag means what the registry says
 * it holds now; where no registry can be asked, what the revision that serves was deployed from. Throws REFUSED.
 */
export async function assertServes(
  { clock, config, environment }: Operation,
  asked: string,
  { release }: StackSnapshot,
  { image, revision }: MigrationPlan,
): Promise<void> {
  if (!parseImage(asked)) throw refused(`IMAGE is ${JSON.stringify(asked)}, which is no image`)
  const wish = release && expectedSide(asked, release)
  const serving = release?.serving.find(({ name }) => name === revision)?.sighting
  if (!wish || serving?.kind !== 'seen')
    throw refused(`IMAGE is ${asked}, and it cannot be told what ${revision} serves`)
  const registry = openRegistryClient(environment, clock)
  const deadline = startDeadline(clock, config.timeoutMs)
  try {
    const answers = registry
      ? await askOpen(openRegistryReader(registry, deadline.signal), known => openQuestions(wish, serving.side, known))
      : new Map()
    const { result } = compareImages(wish, serving.side, answers)
    if (result === 'equal') return
    const is = result === 'different' ? 'another image' : 'perhaps another image: name it by its digest'
    throw refused(
      `IMAGE is ${asked}, and ${revision} serves ${image}, ${is}: a migration runs the image that serves; deploy it first`,
    )
  } finally {
    deadline.cancel()
  }
}
