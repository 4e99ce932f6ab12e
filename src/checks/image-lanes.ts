import { formatTime } from '../clock.ts'
import type { Stack } from '../config/config.ts'
import type { LaneConfig } from '../config/sections/lanes.ts'
import { formatImage, pinnedImage, shortImage } from '../release/image.ts'
import type { LaneTag, ReferencedImage } from '../release/lanes.ts'
import type { ImageProvenance, RegistryAnswer } from '../release/registry-answers.ts'
import type { Check, CheckInput } from './check.ts'
import type { Difference } from './finding.ts'
import { addTag, deployStack, listImages, migrateStack } from './fix.ts'
import { conclude, differs, inSync, type Part, unproven } from './parts/part.ts'
import { whatServes } from './parts/what-serves.ts'

type Input = CheckInput<'service' | 'job' | 'lanes'>

/**
 * The tags of each lane exist where they must, and point to nothing that a lane holds which they exclude; and the registry
 * holds every image that the service and the job name.
 */
export const imageLanes: Check<'service' | 'job' | 'lanes'> = {
  kind: 'image-lanes',
  needs: ['service', 'job', 'lanes'],
  appliesTo: stack => stack.lanes !== null,
  judge(input) {
    const { tags, named } = input.observed.lanes
    const lanes = input.stack.lanes ?? []
    const parts = [...tags.flatMap(tag => judgeTag(tag, lanes)), ...unseen(lanes, tags), ...named.map(judgeNamed)]
    return conclude(parts, {
      inSync: sentence(tags, named),
      fix: differences => fixFor(input, differences),
    })
  },
}

function sentence(tags: readonly LaneTag[], named: readonly ReferencedImage[]): string {
  const there = tags.filter(({ answer }) => answer.kind === 'digest').map(shortImageOf)
  const lanes = there.length > 0 ? `${there.join(', ')} in its own lane` : 'no lane has a tag'
  return named.length > 0 ? `${lanes}; the registry holds what the service and the job name` : lanes
}

function judgeTag(seen: LaneTag, lanes: readonly LaneConfig[]): Part[] {
  const { answer, repository, tag } = seen
  if (answer.kind === 'failed') return [unproven({ code: answer.code, message: answer.message })]
  const doubts = seen.unknowns.map(doubt => unproven(doubt))
  if (answer.kind !== 'absent') return [...judgeContents(seen), ...doubts]
  const required = lanes.some(lane => lane.repository === repository && lane.required && lane.tags.includes(tag))
  if (!required) return [{ status: 'in_sync', notes: [`there is no ${repository}:${tag}`] }, ...doubts]
  const missing = differs('drifted', `${shortImageOf(seen)} does not exist, and its lane needs it`, {
    path: pathOf(seen),
    kind: 'missing',
    expected: `${repository}:${tag}`,
    actual: null,
  })
  return [missing, ...doubts]
}

function unseen(lanes: readonly LaneConfig[], tags: readonly LaneTag[]): Part[] {
  return lanes.flatMap(({ repository, tags: wanted }) =>
    wanted
      .filter(tag => !tags.some(seen => seen.repository === repository && seen.tag === tag))
      .map(tag => unproven({ code: 'BUG', message: `${repository}:${tag} was not looked at` })),
  )
}

/** One difference for each lane that is broken into, however many images of it the tag holds. */
function judgeContents(seen: LaneTag): Part[] {
  const astray = seen.presences.filter(({ answer }) => answer.kind === 'digest')
  const broken = [...Map.groupBy(astray, ({ repository }) => repository)].map(([repository, found]) => {
    const [first] = found
    const actual = `${repository}@${first?.digest}`
    const summary = `${shortImageOf(seen)} points to an image of ${shortRepository(repository)}, another lane`
    const expected = `no image of ${repository}`
    return differs('drifted', summary, { path: pathOf(seen), kind: 'changed', expected, actual, via: via(seen.origin) })
  })
  const failed = seen.presences.flatMap(({ answer }) => (answer.kind === 'failed' ? [answer] : []))
  return [...broken, ...failed.map(({ code, message }) => unproven({ code, message })), inSync]
}

/** What the registry and the builder tell. Who moved the tag only the audit log knows. */
function via(origin: ImageProvenance | null): string {
  const { uploadedAt = null, created = null, source = null, revision = null } = origin ?? {}
  const words = [
    uploadedAt !== null && `uploaded at ${formatTime(uploadedAt)}`,
    created !== null && `built at ${created}`,
    source !== null && `from ${source}`,
    revision !== null && `at revision ${revision}`,
  ].filter(word => word)
  return [...words, 'who moved the tag is in the audit log of the registry'].join(', ')
}

function judgeNamed({ path, subject, image, answer }: ReferencedImage): Part {
  if (answer.kind === 'failed') return unproven({ code: answer.code, message: answer.message })
  if (answer.kind !== 'absent') return inSync
  const summary = `${subject} names ${shortImage(image)}, which the registry does not hold: ${consequences[path]}`
  return differs('drifted', summary, { path, kind: 'missing', expected: formatImage(image), actual: null })
}

const consequences: Readonly<Record<ReferencedImage['path'], string>> = {
  'service.image': 'the next revision of it fails',
  'revision.image': 'a cold start of it may fail, and going back to it does',
  'job.image': 'its next execution fails',
}

/** What is missing is put back where that is known to be right; else the images are listed, to choose from. */
function fixFor({ stack, observed }: Input, differences: readonly Difference[]): string | null {
  const missing = (path: string) => differences.some(difference => difference.path === path)
  const serves = heldServingImage(stack, observed)
  if (serves && stack.job && missing('job.image') && !missing('revision.image')) return migrateStack(stack)
  if (serves && missing('service.image') && !missing('revision.image')) return deployStack(stack, pinnedImage(serves))
  const lane = observed.lanes.tags.find(tag => differences.some(({ path }) => path === pathOf(tag)))
  if (lane) {
    if (lane.answer.kind === 'absent' && serves?.repository === lane.repository)
      return addTag(pinnedImage(serves), `${lane.repository}:${lane.tag}`)
    return listImages(lane.repository)
  }
  const named = observed.lanes.named.find(({ path }) => missing(path))
  return named ? listImages(named.image.repository) : null
}

/** The image that serves, by its digest, where the registry still holds it. */
function heldServingImage(stack: Stack, { service, lanes }: Input['observed']) {
  const serves = whatServes(stack, service?.release ?? null)
  if (serves.kind !== 'side' || serves.side.image.digest === null) return null
  const held = (answer: RegistryAnswer) => answer.kind === 'digest'
  const { digest } = serves.side.image
  return lanes.named.some(({ image, answer }) => image.digest === digest && held(answer)) ? serves.side.image : null
}

function pathOf({ repository, tag }: LaneTag): string {
  return `lane.${shortRepository(repository)}:${tag}`
}

function shortImageOf({ repository, tag }: LaneTag): string {
  return `${shortRepository(repository)}:${tag}`
}

function shortRepository(repository: string): string {
  return repository.slice(repository.lastIndexOf('/') + 1)
}
