import { deployService, sendTrafficToLatest } from '../../checks/fix.ts'
import type { Stack } from '../../config/config.ts'
import type { Service } from '../../release/cloud-run.ts'
import { compareImages, type ImageSide } from '../../release/compare-images.ts'
import { pickContainer } from '../../release/container.ts'
import { type Image, parseImage } from '../../release/image.ts'
import { followsLatest, sharesOf } from '../../release/serving.ts'
import { assertSettled, servingRevision, unendedExecutions, whyNotBeside } from './migration-plan.ts'
import { type PlannedStep, refused } from './planned-step.ts'
import type { StackSnapshot } from './stack-snapshot.ts'

/** What a deploy asks Cloud Run for. */
export interface DeployPlan {
  readonly service: Service
  /** As it was asked for. */
  readonly image: string
  /** What the template asks for now. */
  readonly before: string
  /** The newest revision that serves now, and its image: the way back. */
  readonly serving: { readonly name: string; readonly image: string }
  /** Who takes traffic now, by short name, in percent. */
  readonly shares: ReadonlyMap<string, number>
  /** Who takes traffic now keeps it. */
  readonly noTraffic: boolean
  /** That ends what the traffic does now: to follow the latest revision. */
  readonly pins: boolean
}

/** Plans a deploy; throws REFUSED, with the reason and what would help, where nothing should be changed now. */
export function planDeploy(
  stack: Stack,
  snapshot: StackSnapshot,
  asked: { image: string; noTraffic: boolean },
): DeployPlan {
  const image = parseImage(asked.image)
  if (!image)
    throw refused(`${JSON.stringify(asked.image)} is no image: expected host/path:tag or host/path@sha256:...`)
  assertLane(stack, image)
  assertExpected(stack, image)
  if (!snapshot.service)
    throw refused(
      `Cloud Run has no service ${stack.service.name} in ${stack.region} of project ${stack.project}: deploy makes new revisions of a service that is there`,
      deployService(stack, asked.image),
    )
  assertSettled(stack, snapshot)
  const [unended] = unendedExecutions(snapshot)
  if (unended) throw whyNotBeside(stack, unended)
  const serving = servingRevision(stack, snapshot)
  if (!asked.noTraffic) assertTrafficFollows(stack, snapshot.service)
  const template = pickContainer(snapshot.service.containers, stack.service.container)
  const served = pickContainer(serving.containers, stack.service.container)
  if (template.kind !== 'picked' || served.kind !== 'picked')
    throw refused(
      `service ${stack.service.name} has several containers or none: name the one that counts in the config`,
    )
  return {
    service: snapshot.service,
    image: asked.image,
    before: template.container.image,
    serving: { name: serving.name, image: served.container.image },
    shares: sharesOf(snapshot.service),
    noTraffic: asked.noTraffic,
    pins: asked.noTraffic && followsLatest(snapshot.service),
  }
}

/** `runtime-00042-kxb (100 %)`. */
export function describeShares(shares: ReadonlyMap<string, number>): string {
  return [...shares].map(([name, percent]) => `${name} (${percent} %)`).join(' and ')
}

export function describeDeploy({ service, image, before, noTraffic, pins, shares }: DeployPlan): PlannedStep[] {
  const kept = pins ? 'traffic is pinned to who takes it now' : 'traffic stays pinned'
  const traffic = noTraffic ? `${kept}: ${describeShares(shares)}` : 'all traffic goes to the new revision'
  return [
    {
      name: 'deploy',
      text: `make a revision of service ${service.name} with ${image} (now ${before}); ${traffic}`,
      writes: `service ${service.name}`,
    },
    { name: 'ready', text: 'wait until Cloud Run says that it is ready' },
  ]
}

/** An image of another lane never serves. Nothing here writes to a registry, so no tag of a lane can be overwritten. */
function assertLane({ service }: Stack, { repository }: Image): void {
  if (service.repositories.length === 0 || service.repositories.includes(repository)) return
  throw refused(
    `images of ${repository} may not serve: the config allows ${service.repositories.join(', ')} (service.repositories)`,
  )
}

/** A deploy against the config would drift as soon as it is done. */
function assertExpected({ service }: Stack, image: Image): void {
  const expected = service.expectedImage === null ? null : parseImage(service.expectedImage)
  if (!expected) return
  const side = (each: Image): ImageSide => ({ image: each, resolvedAt: 'now', resolvedDigest: null })
  if (compareImages(side(expected), side(image), new Map()).result !== 'different') return
  throw refused(`the config expects ${service.expectedImage} (service.expectedImage): change it, or deploy that image`)
}

/** Where traffic is pinned to a revision, a new one would not get any. */
function assertTrafficFollows(stack: Stack, { traffic }: Service): void {
  const pinned = traffic.filter(target => target.percent > 0 && target.type !== 'latest')
  if (pinned.length === 0) return
  const names = pinned.map(target => `${target.revision} (${target.percent} %)`).join(', ')
  throw refused(
    `traffic is pinned to ${names}: a new revision would get none of it; deploy with --no-traffic, or let it follow the latest first`,
    sendTrafficToLatest(stack),
  )
}
