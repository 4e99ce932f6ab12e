import type { JobStack } from '../config/config.ts'
import type { Job } from '../release/cloud-run.ts'
import { pickContainer } from '../release/container.ts'
import type { Release } from '../release/release.ts'
import { migrateStack } from './fix.ts'
import { isAllowedImage } from './parts/serving-image.ts'

/**
 * The command `driftwatch migrate`, or null if it would refuse: it needs a single serving image with a known digest,
 * nothing reconciling, and the container of the job.
 */
export function suggestMigrate(stack: JobStack, release: Release | null, job: Job): string | null {
  if (!release || release.servingUnknown || release.service.reconciling || job.reconciling) return null
  const [newest] = release.serving
  if (newest?.image.kind === 'found' && !isAllowedImage(stack, newest.image.side.image)) return null
  const digests = release.serving.map(({ image }) => (image.kind === 'found' ? image.side.image.digest : null))
  const one = digests[0] && digests.every(digest => digest === digests[0])
  return one && pickContainer(job.containers, stack.job.container).kind === 'picked' ? migrateStack(stack) : null
}
