import { isAllowedImage } from '../checks/parts/serving-image.ts'
import { knownImage } from '../release/compare-images.ts'
import { pinnedImage } from '../release/image.ts'
import { expectedSide, type Release } from '../release/release.ts'
import { followsLatest } from '../release/serving.ts'
import {
  describeService,
  listRevisions,
  readRevisionLog,
  sendTrafficTo,
  sendTrafficToLatest,
  updateService,
} from './gcloud.ts'
import { decide, quoted, type Remedy, run } from './remedy.ts'
import {
  answersOf,
  areDifferent,
  differsAt,
  isAbsent,
  releaseOf,
  type Situation,
  usableServingImage,
} from './situation.ts'

/** The most specific difference decides what to do first. */
export function remedyServiceImage(situation: Situation): Remedy {
  const { stack } = situation
  const release = releaseOf(situation)
  const differs = (...paths: readonly string[]) => differsAt(situation, 'service-image', ...paths)
  if (!release || differs('service')) return recreateService(situation)
  if (differs('service.scaling'))
    return decide(
      `Service ${stack.service.name} is stopped by manual scaling. Start it with the scaling that it had, or accept this difference if the stop is intended.`,
    )
  if (differs('service.rollout')) return remedyRollout(situation, release)
  if (differs('service.revision')) return remedyReadiness(situation, release)
  if (differs('service.repository', 'service.expectedImage')) return deployExpected(situation, release)
  if (differs('service.traffic')) return remedyTraffic(situation, release)
  if (differs('service.image')) return remedyTemplate(situation, release)
  if (differs('service.container'))
    return decide('Set service.container in the configuration to the container that runs the release.')
  return run(
    describeService(stack),
    'Cloud Run does not finish the last change of the service. Its conditions give the reason.',
  )
}

function recreateService({ stack }: Situation): Remedy {
  return decide(
    `Create service ${stack.service.name} with its own deployment, for example its pipeline. A bare gcloud run deploy would lack its service account, environment variables, secrets, database connection, network, scaling and IAM policy.`,
  )
}

/** What failed is not tried again: its log comes first. */
function remedyRollout(situation: Situation, release: Release): Remedy {
  const { stack } = situation
  const failed = release.service.latestCreatedRevision
  const serves = release.serving.some(({ name }) => name === failed)
  const log = failed === null || serves ? describeService(stack) : readRevisionLog(stack, failed)
  const restore = restoreTemplate(situation, release)
  return restore === null
    ? run(log, 'The last rollout failed. Find the reason in the log, then deploy a corrected image.')
    : run(
        [log, restore],
        'The last rollout failed: the first command shows why. The second one sets the service template back to the image in service; or deploy a corrected image instead.',
      )
}

/** Null if the template has the image in service, if that may not serve, or if traffic does not follow the template. */
function restoreTemplate(situation: Situation, release: Release): string | null {
  const { service, template, serving } = release
  const [newest] = serving
  const image = usableServingImage(situation)
  if (!image || image.digest === null || template.kind !== 'found' || newest?.image.kind !== 'found') return null
  const isWanted = !differsAt(situation, 'service-image', 'service.expectedImage')
  const follows = followsLatest(service) && pinnedRevisions(release).length === 0
  if (!isWanted || !follows || serving.length > 1) return null
  return areDifferent(situation, template.side, newest.image.side)
    ? updateService(situation.stack, service.containers, pinnedImage(image))
    : null
}

function remedyReadiness({ stack }: Situation, { serving }: Release): Remedy {
  const failing = serving.find(({ revision }) =>
    revision?.conditions.some(({ type, state }) => type === 'Ready' && state !== 'succeeded'),
  )
  const advice =
    'A revision that receives traffic is not ready. Find the reason in its log, then deploy a corrected image.'
  return run(failing ? readRevisionLog(stack, failing.name) : describeService(stack), advice)
}

/** Deploys the configured image, unless traffic is pinned or the image cannot run. */
function deployExpected(situation: Situation, release: Release): Remedy {
  const { stack, commands } = situation
  const wanted = expectedSide(stack.service.expectedImage, release)
  if (!wanted) {
    const deploy = commands.deploy(stack, 'IMAGE')
    return decide(
      `Decide which image of an allowed repository must serve, then deploy it with ${quoted(deploy)}. ${quoted(listRevisions(stack))} lists earlier revisions.`,
    )
  }
  if (!isAllowedImage(stack, wanted.image))
    return decide('service.repositories does not allow service.expectedImage. Correct the configuration.')
  const image = knownImage(wanted, answersOf(situation))
  if (isAbsent(situation, image))
    return decide(`The registry does not have ${pinnedImage(image)}. Push it again, or change service.expectedImage.`)
  const pinned = pinnedRevisions(release)
  if (pinned.length > 0) return decideOnPin(situation, release, pinned)
  if (release.service.reconciling) return decide('Wait until Cloud Run has finished the rollout in progress.')
  return run(
    commands.deploy(stack, pinnedImage(image)),
    'Deploys the image that the configuration expects, migrates with it, and checks again.',
  )
}

function remedyTraffic(situation: Situation, release: Release): Remedy {
  const { stack } = situation
  const { service, serving } = release
  if (serving.length > 0) {
    const choices = serving.map(({ name }) =>
      quoted(name === service.latestReadyRevision ? sendTrafficToLatest(stack) : sendTrafficTo(stack, name)),
    )
    return decide(`Decide which revision must serve, then send all traffic to it: ${choices.join(' or ')}.`)
  }
  const created = service.latestCreatedRevision
  return run(
    created === null ? describeService(stack) : readRevisionLog(stack, created),
    'No revision is ready to receive traffic. Find the reason in the log, then deploy a corrected image.',
  )
}

/** The template has another image than the revision that serves. */
function remedyTemplate(situation: Situation, release: Release): Remedy {
  const { stack } = situation
  const { service } = release
  const pinned = pinnedRevisions(release)
  if (pinned.length > 0 || !followsLatest(service)) return decideOnPin(situation, release, pinned)
  const created = service.latestCreatedRevision
  return run(
    created === null ? describeService(stack) : readRevisionLog(stack, created),
    'The newest revision does not receive traffic although traffic follows the latest one. Find the reason in its log.',
  )
}

/** Only the person who pinned the traffic knows whether the pin may go. */
function decideOnPin(situation: Situation, { service }: Release, pinned: readonly string[]): Remedy {
  const { stack } = situation
  const image = usableServingImage(situation)
  const restore = image && updateService(stack, service.containers, pinnedImage(image))
  const keep =
    restore === null ? '' : ` If it stays, ${quoted(restore)} gives the service template the image in service.`
  const names = pinned.length > 0 ? pinned.join(' and ') : 'named revisions'
  return decide(
    `Traffic is pinned to ${names} by name. Decide whether the pin stays. If it does not, ${quoted(sendTrafficToLatest(stack))} sends all traffic to the latest revision; then migrate.${keep}`,
  )
}

/** The revisions to which traffic is pinned by name. */
export function pinnedRevisions({ service }: Release): string[] {
  return service.traffic
    .filter(({ percent, type }) => percent > 0 && type !== 'latest')
    .flatMap(({ revision }) => revision ?? [])
}
