import { knownImage } from '../release/compare-images.ts'
import { pinnedImage, shortImage } from '../release/image.ts'
import type { RegistryAnswers } from '../release/registry-answers.ts'
import { expectedSide, laterOf, type Release, type ServingRevision, serviceChangedAt } from '../release/release.ts'
import type { Check, CheckInput } from './check.ts'
import type { Difference, Finding } from './finding.ts'
import {
  deployService,
  deployStack,
  describeRevision,
  describeService,
  listRevisions,
  sendTrafficToLatest,
  updateService,
} from './fix.ts'
import {
  changedBy,
  explainable,
  type Grace,
  judgeContainer,
  judgeImages,
  judgeLastChange,
} from './parts/cloud-run-parts.ts'
import { conclude, differs, inSync, type Part, unproven } from './parts/part.ts'
import { judgeReadiness, judgeSplit, judgeTraffic } from './parts/traffic-parts.ts'

type Input = CheckInput<'service' | 'registry'>

/**
 * Every revision that takes traffic is ready and serves the same image, that of the service's template, from an
 * allowed repository, equal to `expectedImage` if that is set; and the last rollout did not fail.
 */
export const serviceImage: Check<'service' | 'registry'> = {
  kind: 'service-image',
  needs: ['service', 'registry'],
  inSyncLasts: true,
  appliesTo: () => true,
  judge(input) {
    const observed = input.observed.service
    return observed ? judgeRelease(input, observed.release) : serviceMissing(input)
  },
}

function serviceMissing({ stack }: Input): Finding {
  const { name, expectedImage } = stack.service
  const summary = `Cloud Run has no service ${name} in ${stack.region} of project ${stack.project}`
  const part = differs('drifted', summary, { path: 'service', kind: 'missing', expected: name, actual: null })
  return conclude([part], {
    inSync: '',
    fix: () => (expectedImage === null ? null : deployService(stack, expectedImage)),
  })
}

function judgeRelease(input: Input, release: Release): Finding {
  const { config, observedAt, observed } = input
  const grace = { observedAt, rolloutGraceMs: config.rolloutGraceMs }
  const serving = release.serving
  const parts = [
    judgeLastChange(
      release.service,
      {
        subject: `service ${release.service.name}`,
        change: 'rollout',
        failedPath: 'service.rollout',
        reconcilingPath: 'service.reconciling',
      },
      grace,
    ),
    judgeTraffic(release, grace),
    ...serving.map(judgeReadiness),
    ...judgeContainers(input, release),
    judgeTemplate(release, observed.registry, grace),
    judgeSplit(release, observed.registry, grace),
    ...serving.flatMap(each => judgeRepository(input, release, each)),
    ...serving.flatMap(each => judgeExpected(input, release, each)),
  ]
  return conclude(foldEqual(parts), {
    inSync: inSyncSentence(release),
    fix: differences => fixFor(input, release, differences),
  })
}

function inSyncSentence({ serving }: Release): string {
  const image = serving[0]?.image.kind === 'found' ? shortImage(serving[0].image.side.image) : 'the image'
  return `${serving.map(each => each.name).join(' and ')} serves ${image}, as the template asks`
}

/** The template and several revisions may differ in the same way: that is said once. */
function foldEqual(parts: readonly Part[]): Part[] {
  const keyOf = (part: Part) => JSON.stringify('difference' in part ? part.difference : part)
  return [...Map.groupBy(parts, keyOf).values()].flatMap(([first]) => first ?? [])
}

function judgeContainers({ stack }: Input, { service, serving, template }: Release): Part[] {
  const { container } = stack.service
  return [
    judgeContainer(template, container, 'service.container', `the template of service ${service.name}`),
    ...serving.map(each => judgeContainer(each.image, container, 'service.container', `revision ${each.name}`)),
  ]
}

/**
 * The newest revision that serves speaks for all: that the others differ from it is said of the traffic. One that was
 * made from the template needs no comparison: whatever the two show is the same.
 */
function judgeTemplate(release: Release, answers: RegistryAnswers, grace: Grace): Part {
  const { template, madeFromTemplate, service } = release
  const newest = release.serving[0]
  if (template.kind !== 'found' || newest?.image.kind !== 'found' || newest.revision === madeFromTemplate) return inSync
  const changedAt = laterOf(serviceChangedAt(release, newest.revision), madeFromTemplate?.createTime ?? null)
  const summary = (expected: string, actual: string) =>
    `${newest.name} serves ${actual}, the template asks for ${expected}`
  const pair = { expected: template.side, actual: newest.image.side, answers }
  return judgeImages(pair, { path: 'service.image', summary, via: changedBy(service) }, explainable(changedAt, grace))
}

/** A difference from the config, and so never explained by a rollout. */
function judgeRepository({ stack }: Input, { service }: Release, { name, image }: ServingRevision): Part[] {
  const { repositories } = stack.service
  if (repositories.length === 0 || image.kind !== 'found') return []
  const { repository } = image.side.image
  if (repositories.includes(repository)) return [inSync]
  const summary = `${name} serves an image of ${repository}, which is not among the allowed repositories`
  return [
    differs('drifted', summary, {
      path: 'service.repository',
      kind: 'unexpected',
      expected: repositories.join(', '),
      actual: repository,
      via: changedBy(service),
    }),
  ]
}

function judgeExpected(input: Input, release: Release, { name, image }: ServingRevision): Part[] {
  const expected = expectedSide(input.stack.service.expectedImage, release)
  if (!expected || image.kind !== 'found') return []
  const summary = (wanted: string, actual: string) => `${name} serves ${actual}, the config expects ${wanted}`
  const pair = { expected, actual: image.side, answers: input.observed.registry }
  const words = { path: 'service.expectedImage', summary, via: changedBy(release.service) }
  const part = judgeImages(pair, words, 'drifted')
  // Only what cannot be told is explained by a rollout; a proven difference from the config never is.
  const grace = { observedAt: input.observedAt, rolloutGraceMs: input.config.rolloutGraceMs }
  return 'doubt' in part
    ? [unproven(part.doubt, explainable(release.service.updateTime, grace) === 'pending' ? 'pending' : 'unknown')]
    : [part]
}

/** The most telling difference decides what to do first. */
function fixFor({ stack, observed }: Input, release: Release, differences: readonly Difference[]): string | null {
  const differs = (path: string) => differences.some(difference => difference.path === path)
  const wanted = expectedSide(stack.service.expectedImage, release)
  if ((differs('service.repository') || differs('service.expectedImage')) && wanted)
    return deployFix(stack, release, pinnedImage(knownImage(wanted, observed.registry)))
  if (differs('service.repository')) return listRevisions(stack)
  if (differs('service.rollout')) return fixRollout(stack, release, observed.registry)
  const notReady = differs('service.revision') ? release.serving.find(each => each.revision) : undefined
  if (notReady) return describeRevision(stack, notReady.name)
  if (differs('service.image') || differs('service.traffic')) return sendTrafficToLatest(stack)
  return describeService(stack)
}

/** A new image is migrated to as well; where traffic is pinned or a rollout is under way, `driftwatch deploy` would refuse. */
function deployFix(stack: Input['stack'], { service }: Release, image: string): string {
  const pinned = service.traffic.some(({ percent, type }) => percent > 0 && type !== 'latest')
  return pinned || service.reconciling ? updateService(stack, image) : deployStack(stack, image)
}

/** After a failed rollout the template goes back to what serves. */
function fixRollout(stack: Input['stack'], { serving }: Release, answers: RegistryAnswers): string {
  const serves = serving[0]?.image
  return serves?.kind === 'found'
    ? updateService(stack, pinnedImage(knownImage(serves.side, answers)))
    : describeService(stack)
}
