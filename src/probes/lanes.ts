import type { RegistryReader } from '../clients/registry/registry-reader.ts'
import type { Stack } from '../config/config.ts'
import type { LaneConfig } from '../config/sections/lanes.ts'
import { DriftwatchError } from '../errors.ts'
import { formatImage, type Image } from '../release/image.ts'
import type { ImageProvenance, RegistryAnswer } from '../release/registry-answers.ts'
import { type ContainerImage, readJobImage } from '../release/release.ts'
import type { LanePresence, LaneTag, ObservedLanes, ReferencedImage } from '../release/release-lanes.ts'
import type { UnknownReason } from '../release/unknown-reason.ts'
import type { Probe } from './probe.ts'
import type { StackReader } from './stack-reader.ts'

/** Manifests of one tag, including those in its index. No build makes as many. */
const maxManifests = 64

/**
 * Observes the tags of the release lanes, whether other lanes have the same images, and whether the registry has the
 * images of the service and the job. A failed registry request is an answer.
 */
export function createLanesProbe(reader: StackReader, registry: RegistryReader | null): Probe<'lanes'> {
  return {
    kind: 'lanes',
    async observe(stack) {
      if (registry === null) {
        const message =
          'registries are not available: CLOUD_RUN_EMULATOR_HOST is set, but ARTIFACT_REGISTRY_EMULATOR_HOST is not'
        throw new DriftwatchError('EMULATOR_ABSENT', message)
      }
      const lanes = (stack.lanes ?? []).flatMap(lane => lane.tags.map(tag => observeTag(registry, lane, tag)))
      const [tags, named] = await Promise.all([Promise.all(lanes), observeNamed(reader, registry, stack)])
      return { tags, named } satisfies ObservedLanes
    },
  }
}

async function observeTag(registry: RegistryReader, lane: LaneConfig, tag: string): Promise<LaneTag> {
  const { repository } = lane
  const answer = await registry.ask({ about: 'tag', repository, tag })
  // In a repository with a misspelt name every tag is absent.
  const named = answer.kind === 'absent' && !lane.required ? [repository, ...lane.excludes] : lane.excludes
  const problems = (await Promise.all(named.map(each => repositoryProblems(registry, each)))).flat()
  const unchecked = { repository, tag, answer, presences: [], unknowns: problems, origin: null }
  if (answer.kind !== 'digest') return unchecked
  const { digests, unknowns } = await contentsOf(registry, repository, answer.digest)
  const presences = await Promise.all(
    digests.flatMap(digest => lane.excludes.map(other => presenceIn(registry, other, digest))),
  )
  const isElsewhere = presences.some(presence => presence.answer.kind === 'digest')
  const origin = isElsewhere ? await originOf(registry, repository, answer.digest) : null
  return { ...unchecked, presences, unknowns: [...problems, ...unknowns], origin }
}

/** Why a repository of a lane proves nothing: it does not exist, or could not be read. */
async function repositoryProblems(registry: RegistryReader, repository: string): Promise<UnknownReason[]> {
  const answer = await registry.ask({ about: 'repository', repository })
  if (answer.kind === 'failed') return [{ code: answer.code, message: answer.message }]
  if (answer.kind !== 'absent') return []
  const message = `the registry has no repository ${repository}, or the repository has no tags. Check its name in "lanes".`
  return [{ code: 'NOT_FOUND', message }]
}

/** A digest and, if it is an index, all digests in it. Follows each digest once. */
async function contentsOf(
  registry: RegistryReader,
  repository: string,
  root: string,
): Promise<{ readonly digests: readonly string[]; readonly unknowns: readonly UnknownReason[] }> {
  const digests = new Set([root])
  const unknowns: UnknownReason[] = []
  // The iteration includes the digests that are added during it.
  for (const digest of digests) {
    const answer = await registry.ask({ about: 'digest', repository, digest })
    if (answer.kind === 'failed') unknowns.push({ code: answer.code, message: answer.message })
    if (answer.kind === 'absent' && digest === root) unknowns.push(missingDigest(repository, digest))
    for (const held of answer.kind === 'holds' ? answer.digests : []) digests.add(held)
    if (digests.size > maxManifests) {
      const message = `${repository}@${root} contains more than ${maxManifests} images; not all were checked`
      return {
        digests: [...digests].slice(0, maxManifests),
        unknowns: [...unknowns, { code: 'MALFORMED_RESPONSE', message }],
      }
    }
  }
  return { digests: [...digests], unknowns }
}

function missingDigest(repository: string, digest: string): UnknownReason {
  const message = `the registry reports ${digest} for a tag of ${repository}, but does not have it`
  return { code: 'MALFORMED_RESPONSE', message }
}

async function presenceIn(registry: RegistryReader, repository: string, digest: string): Promise<LanePresence> {
  const answer = await registry.ask({ about: 'presence', repository, digest, expected: 'absent' })
  return { repository, digest, answer }
}

async function originOf(registry: RegistryReader, repository: string, digest: string): Promise<ImageProvenance | null> {
  const answer = await registry.ask({ about: 'origin', repository, digest })
  return answer.kind === 'origin' ? answer.origin : null
}

/** A failed service or job is omitted: its own probe reports the failure. */
async function observeNamed(reader: StackReader, registry: RegistryReader, stack: Stack): Promise<ReferencedImage[]> {
  const [observed, job] = await Promise.all([
    reader.service(stack).catch(() => null),
    reader.job(stack).catch(() => null),
  ])
  const { service: name, job: jobConfig } = stack
  const release = observed?.release ?? null
  const named = [
    ...(release?.serving ?? []).map(each => referenceOf('revision.image', `revision ${each.name}`, each.image)),
    release ? referenceOf('service.image', `the template of service ${name.name}`, release.template) : [],
    job ? referenceOf('job.image', `job ${job.name}`, readJobImage(job, release, jobConfig?.container ?? null)) : [],
  ].flat()
  return Promise.all(named.map(async each => ({ ...each, answer: await askPresence(registry, each.image) })))
}

function referenceOf(
  path: ReferencedImage['path'],
  subject: string,
  image: ContainerImage,
): Omit<ReferencedImage, 'answer'>[] {
  return image.kind === 'found' ? [{ path, subject, image: image.side.image }] : []
}

/** If the tag resolves to the digest, the registry has it. The tag is needed anyway, so it is read first. */
async function askPresence(registry: RegistryReader, image: Image): Promise<RegistryAnswer> {
  const { repository, tag, digest } = image
  const ofTag = tag === null ? null : await registry.ask({ about: 'tag', repository, tag })
  if (digest === null)
    return ofTag ?? { kind: 'failed', code: 'INVALID_ARGUMENT', message: `${formatImage(image)} is not a valid image` }
  if (ofTag?.kind === 'digest' && ofTag.digest === digest) return ofTag
  return registry.ask({ about: 'presence', repository, digest, expected: 'digest' })
}
