import type { EpochMs } from '../clock.ts'
import type { Container, Execution, Job, Revision, Service } from './cloud-run.ts'
import type { ImageSide } from './compare-images.ts'
import { pickContainer } from './container.ts'
import type { Doubt } from './doubt.ts'
import { formatImage, type Image, parseImage } from './image.ts'
import type { Rollout } from './rollout-telemetry.ts'
import { servingRevisions } from './serving.ts'

/** The container that counts, and its image as a side to compare; or why there is none. */
export type Sighting =
  | { readonly kind: 'seen'; readonly container: Container; readonly side: ImageSide }
  | { readonly kind: 'not-there'; readonly names: readonly string[] }
  | { readonly kind: 'doubt'; readonly doubt: Doubt }

/** A revision that takes traffic. */
export interface ServingRevision {
  readonly name: string
  /** Null: it is referred to and no longer kept. */
  readonly revision: Revision | null
  readonly sighting: Sighting
}

/** A service, read as a release: the image that is wished for and the revisions that serve. */
export interface Release {
  readonly service: Service
  readonly template: Sighting
  /** The newest first. Empty: nobody serves. */
  readonly serving: readonly ServingRevision[]
  /** Set when it cannot be told who serves. */
  readonly servingDoubt: Doubt | null
  /** The revision that was made from the template, where that is certain. */
  readonly madeFromTemplate: Revision | null
}

/** What the template's reference is known to stand for. */
interface TemplatePair {
  readonly image: Image
  readonly digest: string | null
}

type Revisions = ReadonlyMap<string, Revision | null>

/** Reads a service and its revisions (by short name) as a release. `container` is the configured name, or null. */
export function readRelease(service: Service, revisions: Revisions, container: string | null): Release {
  const madeFromTemplate = revisionOfTemplate(service, revisions)
  const pair = templatePair(service, madeFromTemplate, container)
  const serving = servingRevisions(service)
  const names = serving.kind === 'revisions' ? serving.names : []
  return {
    service,
    template: sight(service.containers, container, `the template of service ${service.name}`, image => ({
      image,
      resolvedAt: 'then',
      resolvedDigest: pair?.digest ?? null,
    })),
    serving: names
      .map(name => readServing(name, revisions.get(name) ?? null, madeFromTemplate, pair, container))
      .sort(newestFirst),
    servingDoubt: serving.kind === 'unrecognized' ? unrecognizedTraffic(service, serving.value) : null,
    madeFromTemplate,
  }
}

/** The image of a job as a side: its tag will be resolved when it runs. */
export function sightJob(job: Job, release: Release | null, container: string | null): Sighting {
  return sight(job.containers, container, `job ${job.name}`, image => ({
    image,
    resolvedAt: 'now',
    resolvedDigest: release && standsForAsTemplate(image, release),
  }))
}

/**
 * The image of an execution as a side. One that is older than the revision that serves ran the bytes of the revision
 * that was the newest when it was created. One whose reference is the template's ran what that stands for, unless it is
 * older than the revision made from the template.
 */
export function sightExecution(
  execution: Execution,
  release: Release | null,
  revisionThen: Revision | null,
  containers: { readonly job: string | null; readonly service: string | null },
): Sighting {
  const older = release !== null && isOlderThanServing(execution.createTime, release)
  const afterTemplate = release !== null && !isOlderThan(execution.createTime, release.madeFromTemplate)
  return sight(execution.containers, containers.job, `execution ${execution.name}`, image => ({
    image,
    resolvedAt: older ? 'long-ago' : 'ran',
    resolvedDigest: older
      ? revisionThen && digestOfRevision(revisionThen, containers.service)
      : afterTemplate
        ? standsForAsTemplate(image, release)
        : null,
  }))
}

/** The image that the config expects, as a side: what its tag holds now is meant. Null: no image expected, or none that parses. */
export function expectedSide(expected: string | null, release: Release): ImageSide | null {
  const image = expected === null ? null : parseImage(expected)
  return image && { image, resolvedAt: 'now', resolvedDigest: standsForAsTemplate(image, release) }
}

/** Of several revisions that serve one that is no longer kept, or does not say its age: it may be the newest. */
export function agelessOf({ serving }: Release): ServingRevision | undefined {
  return serving.length > 1 ? serving.find(({ revision }) => (revision?.createTime ?? null) === null) : undefined
}

/** Whether the image of the newest revision that serves is known: which one that is, or that all of them show the same. */
export function isNewestImageKnown(release: Release): boolean {
  const images = release.serving.map(({ sighting }) =>
    sighting.kind === 'seen' ? formatImage(sighting.side.image) : null,
  )
  return !agelessOf(release) || (images[0] !== null && images.every(image => image === images[0]))
}

/** Whether something made at `createTime` is older than the newest revision that serves. */
export function isOlderThanServing(createTime: EpochMs | null, release: Release): boolean {
  return isOlderThan(createTime, release.serving[0]?.revision ?? null)
}

function isOlderThan(createTime: EpochMs | null, revision: Revision | null): boolean {
  const since = revision?.createTime ?? null
  return createTime !== null && since !== null && createTime < since
}

/** Since when the service's side of a difference can be what it is. */
export function serviceChangedAt(release: Release, revision: Revision | null): EpochMs | null {
  return laterOf(release.service.updateTime, revision?.createTime ?? null)
}

/** When what serves came to serve; null where nobody does, or nothing tells, such as which of several is the newest. */
export function rolloutOf(release: Release): Rollout | null {
  const { service, serving } = release
  const [newest] = serving
  if (!newest || agelessOf(release)) return null
  const { revision } = newest
  // Of a revision that is no longer kept only the last change of the service is known.
  const madeAt = revision?.createTime ?? service.updateTime
  const ready = revision?.conditions.find(({ type, state }) => type === 'Ready' && state === 'succeeded')
  const readyAt = laterOf(madeAt, ready?.since ?? null)
  if (madeAt === null || readyAt === null) return null
  return { madeAt, readyAt, touchedAt: laterOf(readyAt, service.updateTime) ?? readyAt }
}

/**
 * `latestCreatedRevision` was made from the template that is there now, unless an update is under way or failed before
 * it made a revision: then the revision is older than the update.
 */
function revisionOfTemplate(service: Service, revisions: Revisions): Revision | null {
  const { latestCreatedRevision: name, templateRevision } = service
  const revision = name === null ? null : (revisions.get(name) ?? null)
  if (!revision || (templateRevision !== null && templateRevision !== name)) return null
  const settled = !service.reconciling && service.terminalCondition?.state === 'succeeded'
  const isNew = revision.createTime !== null && service.updateTime !== null && revision.createTime >= service.updateTime
  return settled || isNew ? revision : null
}

function templatePair(service: Service, made: Revision | null, container: string | null): TemplatePair | null {
  const pick = pickContainer(service.containers, container)
  const image = pick.kind === 'picked' ? parseImage(pick.container.image) : null
  return made && image && { image, digest: digestOfRevision(made, container) }
}

function readServing(
  name: string,
  revision: Revision | null,
  madeFromTemplate: Revision | null,
  pair: TemplatePair | null,
  container: string | null,
): ServingRevision {
  if (!revision) {
    const message = `revision ${name} takes traffic and is no longer kept`
    return { name, revision, sighting: { kind: 'doubt', doubt: { code: 'DETAIL_EXPIRED', message } } }
  }
  const sighting = sight(revision.containers, container, `revision ${name}`, image => {
    const tagged = revision === madeFromTemplate && pair ? withTagOf(image, pair.image) : image
    return {
      image: tagged,
      resolvedAt: 'then',
      resolvedDigest: revision === madeFromTemplate ? (pair?.image.digest ?? null) : null,
    }
  })
  return { name, revision, sighting }
}

/** The revision's digest and the template's tag belong together. */
function withTagOf(image: Image, template: Image): Image {
  return image.digest && !image.tag && image.repository === template.repository
    ? { ...image, tag: template.tag }
    : image
}

function standsForAsTemplate(image: Image, release: Release): string | null {
  const { template, madeFromTemplate } = release
  if (template.kind !== 'seen' || !madeFromTemplate) return null
  const same =
    image.repository === template.side.image.repository &&
    image.tag === template.side.image.tag &&
    image.digest === template.side.image.digest
  return same ? template.side.resolvedDigest : null
}

function digestOfRevision(revision: Revision, container: string | null): string | null {
  const pick = pickContainer(revision.containers, container)
  return pick.kind === 'picked' ? (parseImage(pick.container.image)?.digest ?? null) : null
}

function sight(
  containers: readonly Container[],
  wanted: string | null,
  where: string,
  sideOf: (image: Image) => ImageSide,
): Sighting {
  const pick = pickContainer(containers, wanted)
  switch (pick.kind) {
    case 'picked': {
      const image = parseImage(pick.container.image)
      if (image) return { kind: 'seen', container: pick.container, side: sideOf(image) }
      return doubt(
        'MALFORMED_RESPONSE',
        `${where} shows an image that is none: ${JSON.stringify(pick.container.image)}`,
      )
    }
    case 'not-there':
      return pick
    case 'ambiguous':
      return doubt(
        'CONTAINER_AMBIGUOUS',
        `${where} has the containers ${pick.names.join(', ')}: name the one that counts in the config`,
      )
    case 'empty':
      return doubt('CONTAINER_ABSENT', `${where} shows no container`)
  }
}

function doubt(code: Doubt['code'], message: string): Sighting {
  return { kind: 'doubt', doubt: { code, message } }
}

function unrecognizedTraffic(service: Service, value: string): Doubt {
  return {
    code: 'UNRECOGNIZED_VALUE',
    message: `service ${service.name} sends traffic to a target of type ${value}, which this Driftwatch does not know`,
  }
}

function newestFirst(a: ServingRevision, b: ServingRevision): number {
  const [ofA, ofB] = [
    a.revision?.createTime ?? Number.NEGATIVE_INFINITY,
    b.revision?.createTime ?? Number.NEGATIVE_INFINITY,
  ]
  return ofA === ofB ? b.name.localeCompare(a.name) : ofB - ofA
}

/** The later of two moments, as far as they are known: since when a pair of sides differs at the most. */
export function laterOf(...moments: readonly (EpochMs | null)[]): EpochMs | null {
  return moments.reduce(
    (latest, moment) => (moment !== null && (latest === null || moment > latest) ? moment : latest),
    null,
  )
}

/**
 * Whether a rollout may explain what is seen: the thing changed less than `graceMs` before it was looked at. What
 * nobody knows the age of is not young.
 */
export function isYoung(changedAt: EpochMs | null, observedAt: EpochMs, graceMs: number): boolean {
  return changedAt !== null && observedAt - changedAt < graceMs
}
