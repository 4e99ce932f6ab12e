import { isAllowedImage } from '../../checks/parts/serving-image.ts'
import { formatTime } from '../../clock.ts'
import type { JobStack, Stack } from '../../config/config.ts'
import { formatDuration } from '../../duration.ts'
import type { DriftwatchError } from '../../errors.ts'
import type { Container, Execution, Job, Revision } from '../../release/cloud-run.ts'
import { compareImages, type ImageSide, writtenSide } from '../../release/compare-images.ts'
import { type ContainerPick, pickContainer } from '../../release/container.ts'
import { type ExecutionStage, executionStage } from '../../release/execution-verdict.ts'
import { type Image, parseImage, pinnedImage } from '../../release/image.ts'
import { readExecutionImage } from '../../release/release.ts'
import { cancelExecution, describeExecution, describeService, sendTrafficTo } from '../../remedies/gcloud.ts'
import { describeCommand, type PlannedStep, refused } from './planned-step.ts'
import type { StackSnapshot } from './stack-snapshot.ts'

/** How the job is pinned to an image, and whether it is executed or a running execution is followed. */
export interface MigrationPlan {
  readonly job: Job
  /** The revision whose image the job is pinned to. */
  readonly revision: string
  /** The revision that a deploy created; null: the revision in service. */
  readonly newRevision: string | null
  /** With its digest. */
  readonly image: string
  readonly command: readonly string[] | null
  readonly args: readonly string[] | null
  /** The current container of the job. */
  readonly container: Container
  readonly needsLock: boolean
  /** A running execution of the same image and command, or null. */
  readonly follow: Execution | null
}

/**
 * Plans a migration with the image of a revision: `newRevision`, or the revision in service if null. Throws REFUSED with
 * the reason and a remedy.
 */
export function planMigration(stack: JobStack, snapshot: StackSnapshot, newRevision: string | null): MigrationPlan {
  assertSettled(stack, snapshot)
  const revision = newRevision === null ? findServingRevision(stack, snapshot) : snapshot.revisions.get(newRevision)
  if (!revision) throw refused(`the new revision ${newRevision} no longer exists: the service was changed concurrently`)
  const target = imageOf(stack, revision)
  const image = pinnedImage(target)
  const { job, container } = findJob(stack, snapshot)
  const { command, args } = stack.job
  return {
    job,
    revision: revision.name,
    newRevision,
    image,
    command,
    args,
    container,
    needsLock:
      container.image !== image || !matchesWords(container.command, command) || !matchesWords(container.args, args),
    follow: executionToFollow(stack, snapshot, target),
  }
}

/** Whether a command or args are as wanted; null accepts any. */
export function matchesWords(actual: readonly string[], wanted: readonly string[] | null): boolean {
  return wanted === null || JSON.stringify(actual) === JSON.stringify(wanted)
}

export function isJobStack(stack: Stack): stack is JobStack {
  return stack.job !== null
}

/** The steps of a plan, described for a person. */
export function describeMigration(stack: JobStack, plan: MigrationPlan): PlannedStep[] {
  const { job, image, container, needsLock, follow, command } = plan
  const withCommand = command ? ` with the command ${describeCommand(command)}` : ''
  const lock = needsLock
    ? `pin job ${job.name} to ${image}${withCommand} (now ${container.image}, command ${describeCommand(container.command)})`
    : `job ${job.name} is already pinned to ${image}${withCommand}`
  const execute = follow
    ? `follow execution ${follow.name}, which already runs that image; no second execution is started`
    : `execute job ${job.name}, and follow the execution for at most ${formatDuration(stack.job.maxDurationMs)}`
  return [
    { name: 'lock', text: lock, ...(needsLock && { writes: `job ${job.name}` }) },
    { name: 'migrate', text: execute, ...(!follow && { writes: `an execution of job ${job.name}` }) },
  ]
}

/** An execution that is not known to have ended; `execution` is null if the job refers to it but it is not in the list. */
interface UnfinishedExecution {
  readonly name: string
  readonly execution: Execution | null
  readonly stage: Exclude<ExecutionStage, 'ended'>
}

/** Every execution of the job that is not known to have ended, the newest first. */
export function unfinishedExecutions({ job, executions }: StackSnapshot): UnfinishedExecution[] {
  const listed = executions.flatMap((execution): UnfinishedExecution[] => {
    const stage = executionStage(execution)
    return stage === 'ended' ? [] : [{ name: execution.name, execution, stage }]
  })
  const latest = job?.latestCreatedExecution
  if (!latest || executions.some(({ name }) => name === latest.name)) return listed
  const ended = ['succeeded', 'failed', 'cancelled'].some(status => status === latest.completionStatus)
  return ended ? listed : [{ name: latest.name, execution: null, stage: 'unclear' }, ...listed]
}

/** The refusal to start anything while an execution has not ended. */
export function refuseBeside(stack: Stack, { name, execution, stage }: UnfinishedExecution): DriftwatchError {
  const inspect = describeExecution(stack, name)
  switch (stage) {
    case 'under-way':
      return refused(
        `execution ${name} is running${sinceClause(execution)}. Wait until it has ended (${inspect}), or cancel it.`,
        cancelExecution(stack, name),
      )
    case 'cancelling':
      return refused(`execution ${name} is being cancelled. Wait until it has ended.`, inspect)
    case 'unclear': {
      const reason = execution
        ? 'this version of Driftwatch does not know its state'
        : 'it is the latest execution of the job, but Cloud Run did not list it'
      return refused(
        `cannot determine whether execution ${name} has ended: ${reason}. Inspect it, and repeat the command after it has ended.`,
        inspect,
      )
    }
  }
}

function sinceClause(execution: Execution | null): string {
  return execution?.createTime ? ` since ${formatTime(execution.createTime)}` : ''
}

/** Refuses every command that writes while the service or the job is changing. */
export function assertSettled(stack: Stack, { service, job }: StackSnapshot): void {
  const { name } = stack.service
  if (!service)
    throw refused(
      `Cloud Run has no service ${name} in project ${stack.project}, region ${stack.region}. Deploy it first.`,
    )
  if (isReconciling(service))
    throw refused(`service ${name} is reconciling. Wait until the rollout is complete.`, describeService(stack))
  if (job && isReconciling(job)) throw refused(`job ${job.name} is reconciling. Wait until the update is complete.`)
}

export function isReconciling({
  reconciling,
  terminalCondition,
}: Pick<Job, 'reconciling' | 'terminalCondition'>): boolean {
  return reconciling || terminalCondition?.state === 'reconciling' || terminalCondition?.state === 'pending'
}

/** The revision that receives traffic, or the newest of several with the same image. */
export function findServingRevision(stack: Stack, { release }: StackSnapshot): Revision {
  const serving = release?.serving ?? []
  const [newest] = serving
  if (release?.servingUnknown) throw refused(release.servingUnknown.message)
  if (!newest) throw refused(`no revision of service ${stack.service.name} receives traffic: no image is in service`)
  const deleted = serving.find(each => each.revision === null)
  if (deleted || !newest.revision)
    throw refused(`revision ${deleted?.name} receives traffic but no longer exists. Deploy again.`)
  const sides = serving.flatMap(({ image }) => (image.kind === 'found' ? [image.side] : []))
  const split = sides.some(side => compareImages(side, sides[0] as ImageSide, new Map()).result !== 'equal')
  if (split)
    throw refused(
      `traffic is split between ${serving.map(each => each.name).join(' and ')}, which run different images. Send all traffic to one of them first.`,
      serving.map(({ name }) => sendTrafficTo(stack, name)).join('\n  '),
    )
  return newest.revision
}

/** The image of a revision. It must have a digest: a tag may be moved before the job runs. */
function imageOf(stack: Stack, revision: Revision): Image {
  const pick = pickContainer(revision.containers, stack.service.container)
  if (pick.kind !== 'picked')
    throw refused(`revision ${revision.name} has ${listContainers(pick)}. Set service.container to the one to compare.`)
  const image = parseImage(pick.container.image)
  if (!image?.digest)
    throw refused(
      `cannot pin the job: revision ${revision.name} has the image ${pick.container.image} without a digest. Deploy the image by digest.`,
    )
  if (!isAllowedImage(stack, image))
    throw refused(
      `revision ${revision.name} runs an image of ${image.repository}, which service.repositories does not allow. Fix the service first.`,
    )
  return image
}

/** The job and its container that migrates. */
export function findJob(stack: JobStack, { job }: StackSnapshot): { job: Job; container: Container } {
  const { project, region } = stack
  if (!job)
    throw refused(
      `Cloud Run has no job ${stack.job.name} in project ${project}, region ${region}. Create it first, with its own deployment.`,
    )
  const pick = pickContainer(job.containers, stack.job.container)
  if (pick.kind === 'picked') return { job, container: pick.container }
  throw refused(`job ${job.name} has ${listContainers(pick)}. Set job.container to the one that migrates.`)
}

function listContainers(pick: Exclude<ContainerPick, { kind: 'picked' }>): string {
  return pick.kind === 'empty' ? 'no container' : `the containers ${pick.names.join(', ')}`
}

/** A running migration is never started again: it is followed if it is the wanted one, and refused otherwise. */
function executionToFollow(stack: JobStack, snapshot: StackSnapshot, target: Image): Execution | null {
  const unfinished = unfinishedExecutions(snapshot)
  const other = unfinished.find(({ stage, execution }) => stage !== 'under-way' || !execution)
  if (other) throw refuseBeside(stack, other)
  const running = unfinished.flatMap(({ execution }) => execution ?? [])
  const different = running.find(execution => !isWanted(stack, snapshot, execution, target))
  if (different)
    throw refused(
      `execution ${different.name} is running${sinceClause(different)} with another image or command. Wait until it has ended (${describeExecution(stack, different.name)}), or cancel it.`,
      cancelExecution(stack, different.name),
    )
  return running[0] ?? null
}

function isWanted(stack: JobStack, { release }: StackSnapshot, execution: Execution, target: Image): boolean {
  const containers = { job: stack.job.container, service: stack.service.container }
  const image = readExecutionImage(execution, release, null, containers, null)
  if (image.kind !== 'found') return false
  const wanted = writtenSide(target, 'deployment')
  const same = (what: 'command' | 'args') => matchesWords(image.container[what], stack.job[what])
  return compareImages(image.side, wanted, new Map()).result === 'equal' && same('command') && same('args')
}
