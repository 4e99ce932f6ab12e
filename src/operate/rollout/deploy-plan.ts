import type { Stack } from '../../config/config.ts'
import type { Service } from '../../release/cloud-run.ts'
import { compareImages, writtenSide } from '../../release/compare-images.ts'
import { pickContainer } from '../../release/container.ts'
import { type Image, parseImage } from '../../release/image.ts'
import { followsLatest, sharesOf } from '../../release/serving.ts'
import { sendTrafficToLatest } from '../../remedies/gcloud.ts'
import { assertSettled, findServingRevision, refuseBeside, unfinishedExecutions } from './migration-plan.ts'
import { type PlannedStep, refused } from './planned-step.ts'
import type { StackSnapshot } from './stack-snapshot.ts'

/** The changes that a deploy makes in Cloud Run. */
export interface DeployPlan {
  readonly service: Service
  /** As requested. */
  readonly image: string
  /** The image of the current service template. */
  readonly templateImage: string
  /** The newest revision in service and its image, for a rollback. */
  readonly serving: { readonly name: string; readonly image: string }
  /** The current traffic in percent, by short name of the revision. */
  readonly shares: ReadonlyMap<string, number>
  /** The current traffic stays as it is. */
  readonly noTraffic: boolean
  /** Whether this pins traffic that follows the latest revision now. */
  readonly pins: boolean
}

/** Plans a deploy; throws REFUSED with the reason and a remedy. */
export function planDeploy(
  stack: Stack,
  snapshot: StackSnapshot,
  request: { image: string; noTraffic: boolean },
): DeployPlan {
  const image = parseImage(request.image)
  if (!image)
    throw refused(`invalid image ${JSON.stringify(request.image)}: expected host/path:tag or host/path@sha256:...`)
  assertLane(stack, image)
  assertExpected(stack, image)
  if (!snapshot.service)
    throw refused(
      `Cloud Run has no service ${stack.service.name} in project ${stack.project}, region ${stack.region}. Create it first, with its own deployment.`,
    )
  assertSettled(stack, snapshot)
  const [unfinished] = unfinishedExecutions(snapshot)
  if (unfinished) throw refuseBeside(stack, unfinished)
  const serving = findServingRevision(stack, snapshot)
  if (!request.noTraffic) assertTrafficUnpinned(stack, snapshot.service)
  const template = pickContainer(snapshot.service.containers, stack.service.container)
  const served = pickContainer(serving.containers, stack.service.container)
  if (template.kind !== 'picked' || served.kind !== 'picked')
    throw refused(
      `service ${stack.service.name} has several containers or none. Set service.container to the one to deploy.`,
    )
  return {
    service: snapshot.service,
    image: request.image,
    templateImage: template.container.image,
    serving: { name: serving.name, image: served.container.image },
    shares: sharesOf(snapshot.service),
    noTraffic: request.noTraffic,
    pins: request.noTraffic && followsLatest(snapshot.service),
  }
}

/** `runtime-00042-kxb (100 %)`. */
export function describeShares(shares: ReadonlyMap<string, number>): string {
  return [...shares].map(([name, percent]) => `${name} (${percent} %)`).join(' and ')
}

export function describeDeploy({ service, image, templateImage, noTraffic, pins, shares }: DeployPlan): PlannedStep[] {
  const pinned = pins ? 'traffic is pinned to the current revisions' : 'traffic stays pinned'
  const traffic = noTraffic ? `${pinned}: ${describeShares(shares)}` : 'all traffic goes to the new revision'
  return [
    {
      name: 'deploy',
      text: `create a revision of service ${service.name} with ${image} (now ${templateImage}); ${traffic}`,
      writes: `service ${service.name}`,
    },
    { name: 'ready', text: 'wait until the revision is ready' },
  ]
}

/** Refuses images of another release lane. */
function assertLane({ service }: Stack, { repository }: Image): void {
  if (service.repositories.length === 0 || service.repositories.includes(repository)) return
  throw refused(
    `images of ${repository} are not allowed: service.repositories allows ${service.repositories.join(', ')}`,
  )
}

/** Refuses an image that would be drift as soon as it is deployed. */
function assertExpected({ service }: Stack, image: Image): void {
  const expected = service.expectedImage === null ? null : parseImage(service.expectedImage)
  if (!expected) return
  if (compareImages(writtenSide(expected, 'now'), writtenSide(image, 'now'), new Map()).result !== 'different') return
  throw refused(
    `the configuration expects ${service.expectedImage}. Change service.expectedImage, or deploy that image.`,
  )
}

/** While traffic is pinned, a new revision would receive none. */
function assertTrafficUnpinned(stack: Stack, { traffic }: Service): void {
  const pinned = traffic.filter(target => target.percent > 0 && target.type !== 'latest')
  if (pinned.length === 0) return
  const names = pinned.map(target => `${target.revision} (${target.percent} %)`).join(', ')
  throw refused(
    `traffic is pinned to ${names}, so a new revision would receive none. Deploy with --no-traffic, or send traffic to the latest revision first.`,
    sendTrafficToLatest(stack),
  )
}
