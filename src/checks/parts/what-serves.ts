import type { Stack } from '../../config/config.ts'
import type { Revision } from '../../release/cloud-run.ts'
import type { ImageSide } from '../../release/compare-images.ts'
import type { Image } from '../../release/image.ts'
import { isNewestImageKnown, type Release, revisionWithoutAge } from '../../release/release.ts'
import type { UnknownReason } from '../../release/unknown-reason.ts'

/** The image that serves, against which job and execution are judged. */
export type WhatServes =
  | { readonly kind: 'side'; readonly side: ImageSide; readonly revision: Revision | null }
  | { readonly kind: 'doubt'; readonly doubt: UnknownReason }

/** Where several images take traffic, that of the newest revision counts. */
export function whatServes(stack: Stack, release: Release | null): WhatServes {
  const { name } = stack.service
  if (!release) return dependsOn(`service ${name} is missing`)
  if (release.servingUnknown) return { kind: 'doubt', doubt: release.servingUnknown }
  const [newest] = release.serving
  if (!newest) return dependsOn(`no revision of service ${name} takes traffic`)
  // Without its age, a revision that is no longer kept may be the newest.
  const { image } = release.serving.find(each => each.revision === null) ?? newest
  const ageless = revisionWithoutAge(release)
  if (ageless?.revision && !isNewestImageKnown(release)) {
    const message = `revision ${ageless.name} does not say when it was made: it may be the newest of those that serve`
    return { kind: 'doubt', doubt: { code: 'CONDITION_ABSENT', message } }
  }
  if (image.kind === 'found') return { kind: 'side', side: image.side, revision: newest.revision }
  if (image.kind === 'unknown') return { kind: 'doubt', doubt: image.reason }
  return dependsOn(`revision ${newest.name} has no container ${stack.service.container}`)
}

/** Whether the service may run it: a job is never told to run an image that the service may not. */
export function isAllowedImage({ service }: Stack, image: Image): boolean {
  return service.repositories.length === 0 || service.repositories.includes(image.repository)
}

function dependsOn(what: string): WhatServes {
  return { kind: 'doubt', doubt: { code: 'DEPENDS_ON', message: `${what}: see service-image` } }
}
