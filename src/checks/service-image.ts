import { shortImage } from '../release/image.ts'
import type { RegistryAnswers } from '../release/registry-answers.ts'
import { expectedSide, laterOf, type Release, type ServingRevision, serviceChangedAt } from '../release/release.ts'
import type { Check, CheckInput } from './check.ts'
import { cannotJudge, conclude, concludePart, differs, type Finding, inSync, type Part } from './finding.ts'
import {
  applyGrace,
  describeLastChange,
  type Grace,
  judgeContainer,
  judgeImages,
  judgeLastChange,
} from './parts/cloud-run-parts.ts'
import { judgeReadiness, judgeScaling, judgeSplit, judgeTraffic } from './parts/traffic-parts.ts'

type Input = CheckInput<'service' | 'registry'>

/**
 * Every revision that receives traffic is ready and runs the same image: that of the service template, from an allowed
 * repository, equal to `expectedImage` if set. The last rollout did not fail.
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
  const { name } = stack.service
  const summary = `Cloud Run has no service ${name} in ${stack.region}, project ${stack.project}.`
  const part = differs('drifted', summary, { path: 'service', expected: name })
  return concludePart(part)
}

function judgeRelease(input: Input, release: Release): Finding {
  const { config, observedAt, observed } = input
  const grace = { observedAt, rolloutGraceMs: config.rolloutGraceMs }
  const serving = release.serving
  const parts = [
    judgeLastChange('service', 'rollout', release.service, grace),
    judgeTraffic(release, grace),
    judgeScaling(release),
    ...serving.map(judgeReadiness),
    ...judgeContainers(input, release),
    judgeTemplate(release, observed.registry, grace),
    judgeSplit(release, observed.registry, grace),
    ...serving.flatMap(each => judgeRepository(input, release, each)),
    ...serving.flatMap(each => judgeExpected(input, release, each)),
  ]
  return conclude(mergeEqual(parts), describeInSync(release))
}

function describeInSync({ serving }: Release): string {
  const image = serving[0]?.image.kind === 'found' ? shortImage(serving[0].image.side.image) : 'the image'
  const names = serving.map(each => each.name).join(' and ')
  const subject = serving.length === 1 ? `Revision ${names} serves` : `Revisions ${names} serve`
  return `${subject} ${image}, which matches the service template.`
}

/** The template and several revisions may differ in the same way, which is reported once. */
function mergeEqual(parts: readonly Part[]): Part[] {
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
 * Compares the template with the newest serving revision only: `judgeSplit` compares that with the others. A revision
 * made from the template matches it by definition.
 */
function judgeTemplate(release: Release, answers: RegistryAnswers, grace: Grace): Part {
  const { template, madeFromTemplate, service } = release
  const newest = release.serving[0]
  if (template.kind !== 'found' || newest?.image.kind !== 'found' || newest.revision === madeFromTemplate) return inSync
  const changedAt = laterOf(serviceChangedAt(release, newest.revision), madeFromTemplate?.createTime ?? null)
  const summary = (expected: string, actual: string) =>
    `Revision ${newest.name} serves ${actual}, but the service template specifies ${expected}.`
  const pair = { expected: template.side, actual: newest.image.side, answers }
  return judgeImages(
    pair,
    { path: 'service.image', summary, via: describeLastChange(service) },
    applyGrace(changedAt, grace),
  )
}

/** A difference from the configuration, which no rollout explains. */
function judgeRepository({ stack }: Input, { service }: Release, { name, image }: ServingRevision): Part[] {
  const { repositories } = stack.service
  if (repositories.length === 0 || image.kind !== 'found') return []
  const { repository } = image.side.image
  if (repositories.includes(repository)) return [inSync]
  const summary = `Revision ${name} serves an image of ${repository}, which is not an allowed repository.`
  return [
    differs('drifted', summary, {
      path: 'service.repository',
      kind: 'unexpected',
      expected: repositories.join(', '),
      actual: repository,
      via: describeLastChange(service),
    }),
  ]
}

function judgeExpected(input: Input, release: Release, { name, image }: ServingRevision): Part[] {
  const expected = expectedSide(input.stack.service.expectedImage, release)
  if (!expected || image.kind !== 'found') return []
  const summary = (wanted: string, actual: string) =>
    `Revision ${name} serves ${actual}, but the configuration expects ${wanted}.`
  const pair = { expected, actual: image.side, answers: input.observed.registry }
  const words = { path: 'service.expectedImage', summary, via: describeLastChange(release.service) }
  const part = judgeImages(pair, words, 'drifted')
  // A rollout explains only an unresolved comparison, never a proven difference from the configuration.
  const grace = { observedAt: input.observedAt, rolloutGraceMs: input.config.rolloutGraceMs }
  return 'unknownReason' in part
    ? [cannotJudge(part.unknownReason, applyGrace(release.service.updateTime, grace))]
    : [part]
}
