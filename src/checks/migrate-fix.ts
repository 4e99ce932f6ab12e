import type { JobConfig, Stack } from '../config/config.ts'
import type { Job } from '../release/cloud-run.ts'
import { pickContainer } from '../release/container.ts'
import type { Release } from '../release/release.ts'
import { migrateStack } from './fix.ts'
import { isAllowedImage } from './parts/what-serves.ts'

/**
 * `driftwatch migrate`, where it would do it: one image serves and shows its digest, nothing is reconciling, and the job
 * has the container that migrates. Null where it would refuse.
 */
export function migrateFix(
  stack: Stack & { readonly job: JobConfig },
  release: Release | null,
  job: Job,
): string | null {
  if (!release || release.servingUnknown || release.service.reconciling || job.reconciling) return null
  const [newest] = release.serving
  if (newest?.image.kind === 'found' && !isAllowedImage(stack, newest.image.side.image)) return null
  const digests = release.serving.map(({ image }) => (image.kind === 'found' ? image.side.image.digest : null))
  const one = digests[0] && digests.every(digest => digest === digests[0])
  return one && pickContainer(job.containers, stack.job.container).kind === 'picked' ? migrateStack(stack) : null
}
