import type { EpochMs } from '../clock.ts'
import type { Container, Execution, Job, Revision, Service } from './cloud-run.ts'
import type { ImageSide } from './compare-images.ts'
import { pickContainer } from './container.ts'
import { formatImage, type Image, parseImage } from './image.ts'
import type { Rollout } from './rollout-telemetry.ts'
import { servingRevisions } from './serving.ts'
import type { UnknownReason } from './unknown-reason.ts'

/** The container to check and its image, or why there is none. */
export type ContainerImage =
  | { readonly kind: 'found'; readonly container: Container; readonly side: ImageSide }
  | { readonly kind: 'missing'; readonly names: readonly string[] }
  | { readonly kind: 'unknown'; readonly reason: UnknownReason }

/** A revision that receives traffic. */
export interface ServingRevision {
  readonly name: string
  /** Null if Cloud Run no longer has it. */
  readonly revision: Revision | null
  readonly image: ContainerImage
}

/** The images of a service: of its template, and of its serving revisions. */
export interface Release {
  readonly service: Service
  readonly template: ContainerImage
  /** The newest first. Empty if no revision receives traffic. */
  readonly serving: readonly ServingRevision[]
  /** Why the serving revisions are unknown, or null. */
  readonly servingUnknown: UnknownReason | null
  /** The revision that was made from the current template, or null if that is not certain. */
  readonly madeFromTemplate: Revision | null
}

/** The image of the template, and the digest to which it was resolved. */
interface TemplateImage {
  readonly image: Image
  readonly digest: string | null
}

type Revisions = ReadonlyMap<string, Revision | null>

/** Derives a release from a service and its revisions (by short name). `container` is the configured name, or null. */
export function readRelease(service: Service, revisions: Revisions, container: string | null): Release {
  const madeFromTemplate = revisionOfTemplate(service, revisions)
  const templated = templateImage(service, madeFromTemplate, container)
  const serving = servingRevisions(service)
  const names = serving.kind === 'revisions' ? serving.names : []
  return {
    service,
    template: readImage(service.containers, container, `the template of service ${service.name}`, image => ({
      image,
      resolvedAt: 'deployment',
      resolvedDigest: templated?.digest ?? null,
      writtenDigest: image.digest,
    })),
    serving: names
      .map(name => readServing(name, revisions.get(name) ?? null, madeFromTemplate, templated, container))
      .sort(newestFirst),
    servingUnknown: serving.kind === 'unrecognized' ? unrecognizedTraffic(service, serving.value) : null,
    madeFromTemplate,
  }
}

/** The image of a job. Its tag is resolved at the next execution. */
export function readJobImage(job: Job, release: Release | null, container: string | null): ContainerImage {
  return readImage(job.containers, container, `job ${job.name}`, image => ({
    image,
    resolvedAt: 'now',
    resolvedDigest: release && templateDigestOf(image, release),
    writtenDigest: image.digest,
  }))
}

/**
 * The image of an execution. A digest on it was resolved by Cloud Run if its job names none. If the execution is older than the serving revision, it ran the digest of `revisionThen`,
 * the newest revision at that time. Otherwise, if it is not older than the revision made from the template and has the
 * same reference as the template, it ran the same digest.
 */
export function readExecutionImage(
  execution: Execution,
  release: Release | null,
  revisionThen: Revision | null,
  containers: { readonly job: string | null; readonly service: string | null },
  job: Job | null,
): ContainerImage {
  const isResolved = job !== null && namesTag(job, containers.job)
  const older = release !== null && isOlderThanServing(execution.createTime, release)
  const afterTemplate = release !== null && !isOlderThan(execution.createTime, release.madeFromTemplate)
  return readImage(execution.containers, containers.job, `execution ${execution.name}`, image => ({
    image,
    resolvedAt: older ? 'old-execution' : 'execution',
    resolvedDigest: (isResolved ? image.digest : null) ?? digestThen(image),
    writtenDigest: isResolved ? null : image.digest,
  }))

  function digestThen(image: Image): string | null {
    if (older) return revisionThen && digestOf(revisionThen.containers, containers.service)
    return afterTemplate ? templateDigestOf(image, release) : null
  }
}

function namesTag(job: Job, container: string | null): boolean {
  const image = readJobImage(job, null, container)
  return image.kind === 'found' && image.side.image.digest === null
}

/** The image that the configuration expects, at its current digest. Null if none is configured or it cannot be parsed. */
export function expectedSide(expected: string | null, release: Release): ImageSide | null {
  const image = expected === null ? null : parseImage(expected)
  return (
    image && {
      image,
      resolvedAt: 'now',
      resolvedDigest: templateDigestOf(image, release),
      writtenDigest: image.digest,
    }
  )
}

/** Of several serving revisions, one without a creation time. It may be the newest. */
export function revisionWithoutAge({ serving }: Release): ServingRevision | undefined {
  return serving.length > 1 ? serving.find(({ revision }) => (revision?.createTime ?? null) === null) : undefined
}

/** Whether the image of the newest serving revision is known: all creation times are known, or all images are the same. */
export function isNewestImageKnown(release: Release): boolean {
  const images = release.serving.map(({ image }) => (image.kind === 'found' ? formatImage(image.side.image) : null))
  return !revisionWithoutAge(release) || (images[0] !== null && images.every(image => image === images[0]))
}

/** Whether something created at `createTime` is older than the newest serving revision. */
export function isOlderThanServing(createTime: EpochMs | null, release: Release): boolean {
  return isOlderThan(createTime, release.serving[0]?.revision ?? null)
}

function isOlderThan(createTime: EpochMs | null, revision: Revision | null): boolean {
  const since = revision?.createTime ?? null
  return createTime !== null && since !== null && createTime < since
}

/** When the image of a serving revision, or the traffic to it, last changed. */
export function serviceChangedAt(release: Release, revision: Revision | null): EpochMs | null {
  return laterOf(release.service.updateTime, revision?.createTime ?? null)
}

/** When the serving revisions started to receive traffic; null if none does, or if the newest is unknown. */
export function rolloutOf(release: Release): Rollout | null {
  const { service, serving } = release
  const [newest] = serving
  if (!newest || revisionWithoutAge(release)) return null
  const { revision } = newest
  // For a revision that Cloud Run no longer has, only the last change of the service is known.
  const madeAt = revision?.createTime ?? service.updateTime
  const ready = revision?.conditions.find(({ type, state }) => type === 'Ready' && state === 'succeeded')
  const readyAt = laterOf(madeAt, ready?.since ?? null)
  if (madeAt === null || readyAt === null) return null
  return { madeAt, readyAt, touchedAt: laterOf(readyAt, service.updateTime) ?? readyAt }
}

/** `latestCreatedRevision`, unless it is older than the last update and that update is in progress or has failed. */
function revisionOfTemplate(service: Service, revisions: Revisions): Revision | null {
  const { latestCreatedRevision: name, templateRevision } = service
  const revision = name === null ? null : (revisions.get(name) ?? null)
  if (!revision || (templateRevision !== null && templateRevision !== name)) return null
  const settled = !service.reconciling && service.terminalCondition?.state === 'succeeded'
  const isNew = revision.createTime !== null && service.updateTime !== null && revision.createTime >= service.updateTime
  return settled || isNew ? revision : null
}

function templateImage(service: Service, made: Revision | null, container: string | null): TemplateImage | null {
  const pick = pickContainer(service.containers, container)
  const image = pick.kind === 'picked' ? parseImage(pick.container.image) : null
  return made && image && { image, digest: digestOf(made.containers, container) }
}

function readServing(
  name: string,
  revision: Revision | null,
  madeFromTemplate: Revision | null,
  templated: TemplateImage | null,
  container: string | null,
): ServingRevision {
  if (!revision) {
    const message = `revision ${name} receives traffic, but Cloud Run no longer has its details`
    return { name, revision, image: { kind: 'unknown', reason: { code: 'DETAIL_EXPIRED', message } } }
  }
  const image = readImage(revision.containers, container, `revision ${name}`, image => {
    const tagged = revision === madeFromTemplate && templated ? withTagOf(image, templated.image) : image
    return {
      image: tagged,
      resolvedAt: 'deployment',
      resolvedDigest: image.digest,
      writtenDigest: revision === madeFromTemplate ? (templated?.image.digest ?? null) : null,
    }
  })
  return { name, revision, image }
}

/** Cloud Run stores the digest in the revision and the tag in the template. */
function withTagOf(image: Image, template: Image): Image {
  return image.digest && !image.tag && image.repository === template.repository
    ? { ...image, tag: template.tag }
    : image
}

function templateDigestOf(image: Image, release: Release): string | null {
  const { template, madeFromTemplate } = release
  if (template.kind !== 'found' || !madeFromTemplate) return null
  return formatImage(image) === formatImage(template.side.image) ? template.side.resolvedDigest : null
}

/** The digest of the container to check, or null. */
export function digestOf(containers: readonly Container[], container: string | null): string | null {
  const pick = pickContainer(containers, container)
  return pick.kind === 'picked' ? (parseImage(pick.container.image)?.digest ?? null) : null
}

function readImage(
  containers: readonly Container[],
  wanted: string | null,
  where: string,
  sideOf: (image: Image) => ImageSide,
): ContainerImage {
  const pick = pickContainer(containers, wanted)
  switch (pick.kind) {
    case 'picked': {
      const image = parseImage(pick.container.image)
      if (image) return { kind: 'found', container: pick.container, side: sideOf(image) }
      return unknown('MALFORMED_RESPONSE', `${where} has an invalid image: ${JSON.stringify(pick.container.image)}`)
    }
    case 'missing':
      return pick
    case 'ambiguous':
      return unknown(
        'CONTAINER_AMBIGUOUS',
        `${where} has several containers (${pick.names.join(', ')}). Set "container" in the configuration.`,
      )
    case 'empty':
      return unknown('CONTAINER_ABSENT', `${where} has no containers`)
  }
}

function unknown(code: UnknownReason['code'], message: string): ContainerImage {
  return { kind: 'unknown', reason: { code, message } }
}

function unrecognizedTraffic(service: Service, value: string): UnknownReason {
  return {
    code: 'UNRECOGNIZED_VALUE',
    message: `service ${service.name} sends traffic to a target of type ${value}, which this version of Driftwatch does not support`,
  }
}

function newestFirst(a: ServingRevision, b: ServingRevision): number {
  const createdAt = ({ revision }: ServingRevision) => revision?.createTime ?? Number.NEGATIVE_INFINITY
  const [ofA, ofB] = [createdAt(a), createdAt(b)]
  return ofA === ofB ? b.name.localeCompare(a.name) : ofB - ofA
}

/** The latest of the known times, or null. */
export function laterOf(...moments: readonly (EpochMs | null)[]): EpochMs | null {
  return moments.reduce(
    (latest, moment) => (moment !== null && (latest === null || moment > latest) ? moment : latest),
    null,
  )
}

/** Whether something changed less than `graceMs` before it was observed. Without a known time of change it did not. */
export function isYoung(changedAt: EpochMs | null, observedAt: EpochMs, graceMs: number): boolean {
  return changedAt !== null && observedAt - changedAt < graceMs
}
