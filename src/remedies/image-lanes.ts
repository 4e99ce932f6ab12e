import { type Image, pinnedImage } from '../release/image.ts'
import { readJobImage } from '../release/release.ts'
import type { LaneTag, ReferencedImage } from '../release/release-lanes.ts'
import { addTag, listImages, updateService } from './gcloud.ts'
import { remedyJobImage } from './migration.ts'
import { decide, quoted, type Remedy, run } from './remedy.ts'
import { restoreTag } from './restore-tag.ts'
import { differsAt, releaseOf, type Situation, usableServingImage } from './situation.ts'

/** Restores what is missing if the right image is known. */
export function remedyImageLanes(situation: Situation): Remedy {
  const { lanes } = situation.observed
  const missing = (path: ReferencedImage['path']) =>
    lanes?.named.find(named => named.path === path && differsAt(situation, 'image-lanes', path))
  const serving = missing('revision.image')
  if (serving)
    return decide(
      `The registry no longer has the image in service, ${pinnedImage(serving.image)}. Cloud Run keeps its own copy for existing revisions. Push the image again, or deploy another one before the next deploy or migration needs it.`,
    )
  const service = missing('service.image')
  if (service) return restoreServiceImage(situation, service.image)
  const job = missing('job.image')
  if (job) return restoreJobImage(situation, job.image)
  const tag = lanes?.tags.find(each => differsAt(situation, 'image-lanes', pathOfTag(each)))
  return tag ? restoreLane(situation, tag) : decide('Push the missing images again.')
}

/** The path of the differences of a tag. */
export function pathOfTag({ repository, tag }: LaneTag): string {
  return `lane.${repository.slice(repository.lastIndexOf('/') + 1)}:${tag}`
}

function restoreServiceImage(situation: Situation, missing: Image): Remedy {
  const release = releaseOf(situation)
  const digest = release?.template.kind === 'found' ? release.template.side.resolvedDigest : null
  const tag = restoreTag(situation, missing, digest)
  if (tag) return tag
  const image = usableServingImage(situation)
  const command =
    release && image?.digest ? updateService(situation.stack, release.service.containers, pinnedImage(image)) : null
  return command
    ? run(command, 'Pins the service template to the image in service, which the registry has.')
    : decide(`Push ${pinnedImage(missing)} again, or deploy another image.`)
}

function restoreJobImage(situation: Situation, missing: Image): Remedy {
  const { stack, observed } = situation
  const image = observed.job && readJobImage(observed.job, releaseOf(situation), stack.job?.container ?? null)
  const digest = image?.kind === 'found' ? image.side.resolvedDigest : null
  return restoreTag(situation, missing, digest) ?? remedyJobImage(situation)
}

function restoreLane(situation: Situation, { repository, tag, answer }: LaneTag): Remedy {
  const serving = usableServingImage(situation)
  const isServed = serving?.repository === repository && serving.digest !== null
  const command = answer.kind === 'absent' && isServed ? addTag(serving, tag) : null
  if (command) return run(command, 'Points the missing tag to the image in service.')
  const list = listImages(repository)
  const listed = list === null ? '' : ` ${quoted(list)} lists the images of the lane.`
  return decide(
    `Decide which image of ${repository} tag ${tag} must point to, and move the tag to it.${listed} The audit log of the registry shows who moved it.`,
  )
}
