import type { Stack } from '../../config/config.ts'
import type { Revision } from '../../release/cloud-run.ts'
import type { ImageSide } from '../../release/compare-images.ts'
import type { Image } from '../../release/image.ts'
import { isNewestImageKnown, type Release, revisionWithoutAge } from '../../release/release.ts'
import type { UnknownReason } from '../../release/unknown-reason.ts'

/** The image in service, with which the job and its execution are compared. */
export type ServingImage =
  | { readonly kind: 'known'; readonly side: ImageSide; readonly revision: Revision | null }
  | { readonly kind: 'unknown'; readonly reason: UnknownReason }

/** If several images receive traffic, that of the newest revision counts. */
export function findServingImage(stack: Stack, release: Release | null): ServingImage {
  const { name } = stack.service
  if (!release) return dependsOn(`service ${name} does not exist`)
  if (release.servingUnknown) return { kind: 'unknown', reason: release.servingUnknown }
  const [newest] = release.serving
  if (!newest) return dependsOn(`no revision of service ${name} receives traffic`)
  // A revision that is no longer available has no known age, so it may be the newest.
  const { image } = release.serving.find(each => each.revision === null) ?? newest
  const ageless = revisionWithoutAge(release)
  if (ageless?.revision && !isNewestImageKnown(release)) {
    const message = `revision ${ageless.name} has no creation time and may be the newest that receives traffic`
    return { kind: 'unknown', reason: { code: 'CONDITION_ABSENT', message } }
  }
  if (image.kind === 'found') return { kind: 'known', side: image.side, revision: newest.revision }
  if (image.kind === 'unknown') return { kind: 'unknown', reason: image.reason }
  return dependsOn(`revision ${newest.name} has no container ${stack.service.container}`)
}

/** Whether the service may run it. No fix gives a job an image that the service may not run. */
export function isAllowedImage({ service }: Stack, image: Image): boolean {
  return service.repositories.length === 0 || service.repositories.includes(image.repository)
}

function dependsOn(problem: string): ServingImage {
  return { kind: 'unknown', reason: { code: 'DEPENDS_ON', message: `${problem}; see service-image` } }
}
