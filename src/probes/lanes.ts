import type { RegistryReader } from '../clients/registry/registry-reader.ts'
import type { Stack } from '../config/config.ts'
import type { LaneConfig } from '../config/sections/lanes.ts'
import { DriftwatchError } from '../errors.ts'
import { formatImage, type Image } from '../release/image.ts'
import type { LanePresence, LaneTag, ObservedLanes, ReferencedImage } from '../release/lanes.ts'
import type { ImageProvenance, RegistryAnswer } from '../release/registry-answers.ts'
import { type ContainerImage, readJobImage } from '../release/release.ts'
import type { UnknownReason } from '../release/unknown-reason.ts'
import type { Probe } from './probe.ts'
import type { StackReader } from './stack-reader.ts'

/** So many manifests a tag may point to, what its index holds counted: more than any build makes. */
const mostManifests = 64

/**
 * Looks at the tags of the lanes, at whether other lanes hold what they point to, and at whether the registry holds what
 * the service and the job name. That a registry did not answer is an answer.
 */
export function createLanesProbe(reader: StackReader, registry: RegistryReader | null): Probe<'lanes'> {
  return {
    kind: 'lanes',
    async observe(stack) {
      if (registry === null) {
        const message =
          'no registry can be asked: CLOUD_RUN_EMULATOR_HOST is set, ARTIFACT_REGISTRY_EMULATOR_HOST is not'
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
  // Whatever is asked of a repository that is misspelt is absent there.
  const named = answer.kind === 'absent' && !lane.required ? [repository, ...lane.excludes] : lane.excludes
  const strange = (await Promise.all(named.map(each => strangeness(registry, each)))).flat()
  const unseen = { repository, tag, answer, presences: [], unknowns: strange, origin: null }
  if (answer.kind !== 'digest') return unseen
  const { digests, unknowns } = await contentsOf(registry, repository, answer.digest)
  const presences = await Promise.all(
    digests.flatMap(digest => lane.excludes.map(other => sightIn(registry, other, digest))),
  )
  const astray = presences.some(image => image.answer.kind === 'digest')
  const origin = astray ? await originOf(registry, repository, answer.digest) : null
  return { ...unseen, presences, unknowns: [...strange, ...unknowns], origin }
}

/** Why a repository that a lane names proves nothing: it is not there, or could not be asked. */
async function strangeness(registry: RegistryReader, repository: string): Promise<UnknownReason[]> {
  const answer = await registry.ask({ about: 'repository', repository })
  if (answer.kind === 'failed') return [{ code: answer.code, message: answer.message }]
  if (answer.kind !== 'absent') return []
  const message = `the registry has no repository ${repository}, or no tag in it: is it written right in the lanes?`
  return [{ code: 'NOT_FOUND', message }]
}

/** What a digest stands for: itself and, where it is an index, all that it holds. A digest is never followed twice. */
async function contentsOf(
  registry: RegistryReader,
  repository: string,
  root: string,
): Promise<{ readonly digests: readonly string[]; readonly unknowns: readonly UnknownReason[] }> {
  const digests = new Set([root])
  const unknowns: UnknownReason[] = []
  // A set is iterated in the order of insertion, also over what is added on the way.
  for (const digest of digests) {
    const answer = await registry.ask({ about: 'digest', repository, digest })
    if (answer.kind === 'failed') unknowns.push({ code: answer.code, message: answer.message })
    if (answer.kind === 'absent' && digest === root) unknowns.push(withheld(repository, digest))
    for (const held of answer.kind === 'holds' ? answer.digests : []) digests.add(held)
    if (digests.size > mostManifests) {
      const message = `${repository}@${root} holds more than ${mostManifests} images: not all were looked at`
      return {
        digests: [...digests].slice(0, mostManifests),
        unknowns: [...unknowns, { code: 'MALFORMED_RESPONSE', message }],
      }
    }
  }
  return { digests: [...digests], unknowns }
}

function withheld(repository: string, digest: string): UnknownReason {
  const message = `the registry names ${digest} for a tag of ${repository}, and does not have it`
  return { code: 'MALFORMED_RESPONSE', message }
}

async function sightIn(registry: RegistryReader, repository: string, digest: string): Promise<LanePresence> {
  const answer = await registry.ask({ about: 'presence', repository, digest, expected: 'absent' })
  return { repository, digest, answer }
}

async function originOf(registry: RegistryReader, repository: string, digest: string): Promise<ImageProvenance | null> {
  const answer = await registry.ask({ about: 'origin', repository, digest })
  return answer.kind === 'origin' ? answer.origin : null
}

/** What could not be looked at names nothing: the probe that looked says so itself. */
async function observeNamed(reader: StackReader, registry: RegistryReader, stack: Stack): Promise<ReferencedImage[]> {
  const [observed, job] = await Promise.all([
    reader.service(stack).catch(() => null),
    reader.job(stack).catch(() => null),
  ])
  const { service: name, job: jobConfig } = stack
  const release = observed?.release ?? null
  const named = [
    ...(release?.serving ?? []).map(each => nameOf('revision.image', `revision ${each.name}`, each.image)),
    ...(release ? [nameOf('service.image', `the template of service ${name.name}`, release.template)] : []),
    ...(job ? [nameOf('job.image', `job ${job.name}`, readJobImage(job, release, jobConfig?.container ?? null))] : []),
  ].flat()
  return Promise.all(named.map(async each => ({ ...each, answer: await askPresence(registry, each.image) })))
}

function nameOf(
  path: ReferencedImage['path'],
  subject: string,
  image: ContainerImage,
): Omit<ReferencedImage, 'answer'>[] {
  return image.kind === 'found' ? [{ path, subject, image: image.side.image }] : []
}

/** A tag that has the digest now shows that it is there, and is asked for anyway. */
async function askPresence(registry: RegistryReader, image: Image): Promise<RegistryAnswer> {
  const { repository, tag, digest } = image
  const ofTag = tag === null ? null : await registry.ask({ about: 'tag', repository, tag })
  if (digest === null)
    return ofTag ?? { kind: 'failed', code: 'INVALID_ARGUMENT', message: `${formatImage(image)} is no image` }
  if (ofTag?.kind === 'digest' && ofTag.digest === digest) return ofTag
  return registry.ask({ about: 'presence', repository, digest, expected: 'digest' })
}
