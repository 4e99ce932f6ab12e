import {
  cancelExecution,
  createJob,
  describeExecution,
  describeService,
  sendTrafficToLatest,
} from '../../checks/fix.ts'
import { isAllowedImage } from '../../checks/parts/serving-image.ts'
import { formatTime } from '../../clock.ts'
import type { JobConfig, Stack } from '../../config/config.ts'
import { formatDuration } from '../../duration.ts'
import type { DriftwatchError } from '../../errors.ts'
import type { Container, Execution, Job, Revision } from '../../release/cloud-run.ts'
import { compareImages, type ImageSide } from '../../release/compare-images.ts'
import { pickContainer } from '../../release/container.ts'
import { type ExecutionStage, executionStage } from '../../release/execution-verdict.ts'
import { type Image, parseImage, pinnedImage } from '../../release/image.ts'
import { readExecutionImage } from '../../release/release.ts'
import { type PlannedStep, refused, words } from './planned-step.ts'
import type { StackSnapshot } from './stack-snapshot.ts'

export type JobStack = Stack & { readonly job: JobConfig }

/** What a migration takes: how the job is locked to an image, and whether it is executed or only followed. */
export interface MigrationPlan {
  readonly job: Job
  /** The revision whose image the job is locked to. */
  readonly revision: string
  /** The same where a deploy made it; null where it is the one that serves, whichever that is by then. */
  readonly made: string | null
  /** By digest. */
  readonly image: string
  readonly command: readonly string[] | null
  readonly args: readonly string[] | null
  /** What the job would run now. */
  readonly container: Container
  readonly needsLock: boolean
  /** An execution that does just this already and is under way, or null. */
  readonly follow: Execution | null
}

/**
 * Plans the migration of a stack with the image of a revision: `made`, or where that is null the one that serves. Throws
 * REFUSED, with the reason and what would help, where nothing should be changed now.
 */
export function planMigration(stack: JobStack, snapshot: StackSnapshot, made: string | null): MigrationPlan {
  assertSettled(stack, snapshot)
  const revision = made === null ? servingRevision(stack, snapshot) : madeRevision(snapshot, made)
  const target = imageOf(stack, revision)
  const image = pinnedImage(target)
  const { job, container } = usableJob(stack, snapshot, image)
  const { command, args } = stack.job
  return {
    job,
    revision: revision.name,
    made,
    image,
    command,
    args,
    container,
    needsLock: container.image !== image || !sameWords(container.command, command) || !sameWords(container.args, args),
    follow: executionToFollow(stack, snapshot, target),
  }
}

/** Whether a command or its args are those that are wanted; null: whatever they are. */
export function sameWords(is: readonly string[], wanted: readonly string[] | null): boolean {
  return wanted === null || JSON.stringify(is) === JSON.stringify(wanted)
}

/** The steps of a plan in words, as a dry run prints them. */
export function describeMigration(stack: JobStack, plan: MigrationPlan): PlannedStep[] {
  const { job, image, container, needsLock, follow, command } = plan
  const runs = command ? ` with the command ${words(command)}` : ''
  const lock = needsLock
    ? `set job ${job.name} to ${image}${runs} (now ${container.image}, command ${words(container.command)})`
    : `job ${job.name} is locked to ${image}${runs} already`
  const execute = follow
    ? `follow ${follow.name}, which runs that image already: it is not started a second time`
    : `execute job ${job.name}, and follow it for ${formatDuration(stack.job.maxDurationMs)} at most`
  return [
    { name: 'lock', text: lock, ...(needsLock && { writes: `job ${job.name}` }) },
    { name: 'migrate', text: execute, ...(!follow && { writes: `an execution of job ${job.name}` }) },
  ]
}

/** An execution of the job that is not proven to have ended; `execution` is null where the job names it and it is not shown. */
interface Unended {
  readonly name: string
  readonly execution: Execution | null
  readonly stage: Exclude<ExecutionStage, 'ended'>
}

/** Every execution of the job that is not proven to have ended, the newest first. */
export function unendedExecutions({ job, executions }: StackSnapshot): Unended[] {
  const shown = executions.flatMap((execution): Unended[] => {
    const stage = executionStage(execution)
    return stage === 'ended' ? [] : [{ name: execution.name, execution, stage }]
  })
  const latest = job?.latestCreatedExecution
  if (!latest || executions.some(({ name }) => name === latest.name)) return shown
  const ended = ['succeeded', 'failed', 'cancelled'].some(status => status === latest.completionStatus)
  return ended ? shown : [{ name: latest.name, execution: null, stage: 'unclear' }, ...shown]
}

/** Why nothing is begun beside an execution that has not ended: a sentence. */
export function whyNotBeside(stack: Stack, { name, execution, stage }: Unended): DriftwatchError {
  const since = execution?.createTime ? ` since ${formatTime(execution.createTime)}` : ''
  const see = describeExecution(stack, name)
  switch (stage) {
    case 'under-way':
      return refused(
        `execution ${name} is under way${since}: wait until it is done (${see}), or stop it`,
        cancelExecution(stack, name),
      )
    case 'cancelling':
      return refused(`execution ${name} is being cancelled: wait until it has ended`, see)
    case 'unclear':
      return refused(
        `it cannot be told whether execution ${name} has ended${execution ? ': its state is newer than this Driftwatch' : ': the job names it as the latest, and it is not shown'}; nothing is begun beside it`,
        see,
      )
  }
}

/** What keeps every command that writes from beginning. */
export function assertSettled(stack: Stack, { service, job }: StackSnapshot): void {
  const { name } = stack.service
  if (!service)
    throw refused(`Cloud Run has no service ${name} in ${stack.region} of project ${stack.project}: deploy it first`)
  if (isMoving(service))
    throw refused(
      `service ${name} is reconciling: a rollout is under way; wait until it is done`,
      describeService(stack),
    )
  if (job && isMoving(job))
    throw refused(`job ${job.name} is reconciling: an update is under way; wait until it is done`)
}

function isMoving({ reconciling, terminalCondition }: Pick<Job, 'reconciling' | 'terminalCondition'>): boolean {
  return reconciling || terminalCondition?.state === 'reconciling' || terminalCondition?.state === 'pending'
}

/** The one revision that takes traffic, or the newest of several that run the same image. */
export function servingRevision(stack: Stack, { release }: StackSnapshot): Revision {
  const serving = release?.serving ?? []
  const [newest] = serving
  if (release?.servingUnknown) throw refused(release.servingUnknown.message)
  if (!newest) throw refused(`no revision of service ${stack.service.name} takes traffic: there is no image to lock to`)
  const gone = serving.find(each => each.revision === null)
  if (gone || !newest.revision)
    throw refused(`revision ${gone?.name} takes traffic and is no longer kept: deploy again`)
  const sides = serving.flatMap(({ image }) => (image.kind === 'found' ? [image.side] : []))
  const split = sides.some(side => compareImages(side, sides[0] as ImageSide, new Map()).result !== 'equal')
  if (split)
    throw refused(
      `traffic is split between ${serving.map(each => each.name).join(' and ')}, which run different images: send all of it to one first`,
      sendTrafficToLatest(stack),
    )
  return newest.revision
}

function madeRevision({ revisions }: StackSnapshot, name: string): Revision {
  const revision = revisions.get(name)
  if (!revision) throw refused(`revision ${name} was made and is not there any more: somebody else deployed in between`)
  return revision
}

/** The image of a revision, which must show its digest: a tag may mean something else by the time the job runs. */
function imageOf(stack: Stack, revision: Revision): Image {
  const pick = pickContainer(revision.containers, stack.service.container)
  if (pick.kind !== 'picked')
    throw refused(
      `revision ${revision.name} has ${pick.kind === 'empty' ? 'no container' : `the containers ${pick.names.join(', ')}`}: name the one that counts in the config`,
    )
  const image = parseImage(pick.container.image)
  if (!image?.digest)
    throw refused(
      `revision ${revision.name} shows its image only as ${pick.container.image}: without a digest the job cannot be locked to it; deploy the image by its digest`,
    )
  if (!isAllowedImage(stack, image))
    throw refused(
      `revision ${revision.name} runs an image of ${image.repository}, which the config does not allow: mend the service first`,
    )
  return image
}

/** The job, and the container of it that migrates. `image` is what a job that is missing would be created with. */
export function usableJob(stack: JobStack, { job }: StackSnapshot, image: string): { job: Job; container: Container } {
  if (job) return { job, container: containerOf(stack, job) }
  const why = `Cloud Run has no job ${stack.job.name} in ${stack.region} of project ${stack.project}: create it first`
  throw refused(why, createJob(stack, image))
}

function containerOf(stack: JobStack, job: Job): Container {
  const pick = pickContainer(job.containers, stack.job.container)
  if (pick.kind === 'picked') return pick.container
  const names = pick.kind === 'empty' ? 'no container' : `the containers ${pick.names.join(', ')}`
  throw refused(`job ${job.name} has ${names}: name the one that migrates in the config`)
}

/** A migration that runs is never started twice: it is followed where it is the one that is wanted, and refused otherwise. */
function executionToFollow(stack: JobStack, snapshot: StackSnapshot, target: Image): Execution | null {
  const unended = unendedExecutions(snapshot)
  const other = unended.find(({ stage, execution }) => stage !== 'under-way' || !execution)
  if (other) throw whyNotBeside(stack, other)
  const running = unended.flatMap(({ execution }) => execution ?? [])
  const wrong = running.find(execution => !runs(stack, snapshot, execution, target))
  if (wrong) {
    const since = wrong.createTime === null ? '' : ` since ${formatTime(wrong.createTime)}`
    throw refused(
      `execution ${wrong.name} is under way${since} with another image or command: it is not started a second time; wait until it is done (${describeExecution(stack, wrong.name)}), or stop it`,
      cancelExecution(stack, wrong.name),
    )
  }
  return running[0] ?? null
}

function runs(stack: JobStack, { release }: StackSnapshot, execution: Execution, target: Image): boolean {
  const containers = { job: stack.job.container, service: stack.service.container }
  const image = readExecutionImage(execution, release, null, containers)
  if (image.kind !== 'found') return false
  const wanted: ImageSide = { image: target, resolvedAt: 'deployment', resolvedDigest: null }
  const same = (what: 'command' | 'args') => sameWords(image.container[what], stack.job[what])
  return compareImages(image.side, wanted, new Map()).result === 'equal' && same('command') && same('args')
}
