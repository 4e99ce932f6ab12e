import { formatTime } from '../clock.ts'
import type { LaneConfig } from '../config/sections/lanes.ts'
import { formatImage, shortImage } from '../release/image.ts'
import type { ImageProvenance } from '../release/registry-answers.ts'
import type { LaneTag, ReferencedImage } from '../release/release-lanes.ts'
import type { Check } from './check.ts'
import { cannotJudge, conclude, concludePart, differs, inSync, type Part, toSentence } from './finding.ts'

/**
 * A release lane is a repository with tags of its own. Required tags exist, no tag points to an image of a lane that its
 * lane excludes, and the registry has every image that the service and the job name.
 */
export const imageLanes: Check<'service' | 'job' | 'lanes'> = {
  kind: 'image-lanes',
  needs: ['service', 'job', 'lanes'],
  appliesTo: stack => stack.lanes !== null,
  judge(input) {
    const { tags, named } = input.observed.lanes
    const lanes = input.stack.lanes ?? []
    const parts = [...tags.flatMap(tag => judgeTag(tag, lanes)), ...notObserved(lanes, tags), ...named.map(judgeNamed)]
    return parts.length > 0 ? conclude(parts, describeInSync(tags, named)) : concludePart(cannotJudge(noImage))
  },
}

/** Without lanes, only the images of the service and the job are judged. */
const noImage = {
  code: 'DEPENDS_ON',
  message: 'no image of the service or the job is known; see service-image and job-image',
} as const

function describeInSync(tags: readonly LaneTag[], named: readonly ReferencedImage[]): string {
  const existing = tags.filter(({ answer }) => answer.kind === 'digest').map(shortImageOf)
  const lanes =
    existing.length > 0
      ? `No release lane has an image of another lane (tags ${existing.join(', ')}).`
      : 'No tag of a release lane exists.'
  return named.length > 0 ? `${lanes} The registry has every image that the service and the job use.` : lanes
}

function judgeTag(observed: LaneTag, lanes: readonly LaneConfig[]): Part[] {
  const { answer, repository, tag } = observed
  if (answer.kind === 'failed') return [cannotJudge({ code: answer.code, message: answer.message })]
  const unknowns = observed.unknowns.map(reason => cannotJudge(reason))
  if (answer.kind !== 'absent') return [...judgeContents(observed), ...unknowns]
  const required = lanes.some(lane => lane.repository === repository && lane.required && lane.tags.includes(tag))
  if (!required) return [{ status: 'in_sync', notes: [`Tag ${repository}:${tag} does not exist.`] }, ...unknowns]
  const summary = `Tag ${shortImageOf(observed)} does not exist, but its release lane requires it.`
  return [differs('drifted', summary, { path: pathOf(observed), expected: `${repository}:${tag}` }), ...unknowns]
}

function notObserved(lanes: readonly LaneConfig[], tags: readonly LaneTag[]): Part[] {
  return lanes.flatMap(({ repository, tags: wanted }) =>
    wanted
      .filter(tag => !tags.some(each => each.repository === repository && each.tag === tag))
      .map(tag => cannotJudge({ code: 'BUG', message: `tag ${repository}:${tag} was not read` })),
  )
}

/** One difference per foreign lane, however many of its images the tag holds. */
function judgeContents(observed: LaneTag): Part[] {
  const foreign = observed.presences.filter(({ answer }) => answer.kind === 'digest')
  const wrong = [...Map.groupBy(foreign, ({ repository }) => repository)].map(([repository, found]) => {
    const [first] = found
    const actual = `${repository}@${first?.digest}`
    const summary = `Tag ${shortImageOf(observed)} points to an image of another release lane, ${shortRepository(repository)}.`
    const expected = `no image of ${repository}`
    const via = describeOrigin(observed.origin)
    return differs('drifted', summary, { path: pathOf(observed), expected, actual, via })
  })
  const failed = observed.presences.flatMap(({ answer }) => (answer.kind === 'failed' ? [answer] : []))
  return [...wrong, ...failed.map(({ code, message }) => cannotJudge({ code, message })), inSync]
}

/** What the registry and the builder recorded. Only the audit log shows who moved the tag. */
function describeOrigin(origin: ImageProvenance | null): string {
  const { uploadedAt = null, created = null, source = null, revision = null } = origin ?? {}
  const words = [
    uploadedAt !== null && `uploaded at ${formatTime(uploadedAt)}`,
    created !== null && `built at ${created}`,
    source !== null && `from ${source}`,
    revision !== null && `at revision ${revision}`,
  ].filter(word => word)
  return `${words.join(', ')}${words.length > 0 ? '; ' : ''}the audit log of the registry shows who moved the tag`
}

function judgeNamed({ path, subject, image, answer }: ReferencedImage): Part {
  if (answer.kind === 'failed') return cannotJudge({ code: answer.code, message: answer.message })
  if (answer.kind !== 'absent') return inSync
  const summary = toSentence(
    `${subject} uses ${shortImage(image)}, which the registry does not have: ${consequences[path]}`,
  )
  return differs('drifted', summary, { path, expected: formatImage(image) })
}

const consequences: Readonly<Record<ReferencedImage['path'], string>> = {
  'service.image': 'its next revision will fail',
  'revision.image':
    'it still serves from the copy that Cloud Run keeps, but the next deployment or job execution with it will fail',
  'job.image': 'its next execution will fail',
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
