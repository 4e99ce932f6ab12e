import { describeFailure } from '../../checks/parts/cloud-run-parts.ts'
import { exitCodes } from '../../checks/status.ts'
import { type Deadline, withDeadline } from '../../concurrency/deadline.ts'
import type { JobStack } from '../../config/config.ts'
import { formatDuration } from '../../duration.ts'
import { DriftwatchError } from '../../errors.ts'
import type { Execution, Job } from '../../release/cloud-run.ts'
import { pickContainer } from '../../release/container.ts'
import { executionStage, executionVerdict } from '../../release/execution-verdict.ts'
import { parseImage } from '../../release/image.ts'
import { cancelExecution, describeExecution, describeJob, listExecutions, updateJob } from '../../remedies/gcloud.ts'
import { interrupted } from '../interrupted.ts'
import { createResultWait } from '../result-wait.ts'
import type { ChangeStatus } from './change-status.ts'
import { createProgress, tailOf } from './execution-progress.ts'
import { assertImageExists, withNote } from './image-presence.ts'
import {
  describeMigration,
  isJobStack,
  isReconciling,
  type MigrationPlan,
  matchesWords,
  planMigration,
} from './migration-plan.ts'
import type { Operation } from './operation.ts'
import { describeCommand, failed, refused } from './planned-step.ts'
import { assertInService } from './requested-image.ts'
import type { StackSnapshot } from './stack-snapshot.ts'
import { awaitDone, waitUntil } from './wait.ts'

/** Cloud Run only verifies that the image exists. */
const jobUpdateTimeoutMs = 5 * 60_000

/** Pins the job to the image in service, executes it and checks again. Resolves with the exit code. */
export async function runMigrate(operation: Operation, request: { readonly image: string | null }): Promise<number> {
  const { stack, confirm, dryRun } = operation
  if (!isJobStack(stack)) throw refused(`stack ${stack.name} has no \`job\` in the configuration: nothing to migrate`)
  const snapshot = await recordInitialState(operation)
  const plan = planMigration(stack, snapshot, null)
  if (request.image !== null) await assertInService(operation, request.image, snapshot, plan)
  const starts = plan.needsLock || plan.follow === null
  const image = starts ? parseImage(plan.image) : null
  const note = image && (await assertImageExists(operation, image))
  await confirm([
    ...withNote(describeMigration(stack, plan), note),
    { name: 'check', text: `check stack ${stack.name} again` },
  ])
  if (dryRun) return 0
  await runMigration(operation, stack, plan, {
    resume: operation.commands.migrate(stack),
    revertImage: plan.container.image,
  })
  await recheck(operation)
  return exitCodes[operation.log.reportAfter?.status ?? 'unknown']
}

/** How to recover if the migration stops halfway. */
interface Recovery {
  /** The command that continues. */
  readonly resume: string
  /** The image to which a rollback sets the job. */
  readonly revertImage: string
}

/** Pins the job and executes it, or follows a running execution. Rejects with STEP_FAILED or INTERRUPTED. */
export async function runMigration(
  operation: Operation,
  stack: JobStack,
  plan: MigrationPlan,
  recovery: Recovery,
): Promise<void> {
  await operation.step('lock', () => lockJob(operation, stack, plan, recovery))
  await operation.step('migrate', () => executeJob(operation, stack, plan, recovery))
}

async function lockJob(
  operation: Operation,
  stack: JobStack,
  plan: MigrationPlan,
  { resume, revertImage }: Recovery,
): Promise<string> {
  const { job, image, command, args, needsLock } = plan
  if (!needsLock) return `job ${job.name} is already pinned to ${image}`
  const commands = { resume, revert: rollbackCommand(stack, plan, revertImage) }
  await operation.write('job', { summary: `job ${job.name} may have been set to ${image}`, ...commands }, () =>
    operation.writer.updateJob(jobName(stack), job.etag, { container: stack.job.container, image, command, args }),
  )
  operation.log.changes.job = { summary: `job ${job.name} is set to ${image}, but was not executed`, ...commands }
  await awaitLock(operation, stack, plan)
  return `job ${job.name} is pinned to ${image}${command ? ` with the command ${describeCommand(command)}` : ''}`
}

/** Restores an image, and the command and args that the lock changes. */
function rollbackCommand(stack: JobStack, { job, container, command, args }: MigrationPlan, image: string): string {
  const change = {
    image,
    command: matchesWords(container.command, command) ? null : container.command,
    args: matchesWords(container.args, args) ? null : container.args,
  }
  return updateJob(stack, job.containers, change) ?? describeJob(stack)
}

async function awaitLock(operation: Operation, stack: JobStack, plan: MigrationPlan): Promise<void> {
  const late = `job ${plan.job.name} is still reconciling after ${formatDuration(jobUpdateTimeoutMs)}`
  const get = (deadline: Deadline) => operation.client.jobs.get(jobName(stack), deadline)
  const job = await awaitDone(operation, late, {
    read: () => read(operation, get, `job ${stack.job.name}`),
    isDone: each => each.etag !== plan.job.etag && !isReconciling(each),
    timeoutMs: jobUpdateTimeoutMs,
  })
  if (job.terminalCondition?.state !== 'succeeded') {
    const reason = job.terminalCondition ? describeFailure(job.terminalCondition) : 'Cloud Run reported no condition'
    throw failed(`job ${job.name} cannot run ${plan.image}: ${reason}`)
  }
  assertLocked(stack, plan, job)
}

/** Verifies the job by reading it: the response to the update is not proof. */
function assertLocked(stack: JobStack, { image, command, args }: MigrationPlan, job: Job): void {
  const pick = pickContainer(job.containers, stack.job.container)
  const actual = pick.kind === 'picked' ? pick.container : null
  if (actual?.image === image && matchesWords(actual.command, command) && matchesWords(actual.args, args)) return
  throw new DriftwatchError(
    'CONFLICT',
    `job ${job.name} was changed concurrently and was not executed. It was set to ${image}, and now has ${actual?.image ?? 'no such container'}, command ${describeCommand(actual?.command ?? [])}.`,
  )
}

async function executeJob(
  operation: Operation,
  stack: JobStack,
  plan: MigrationPlan,
  { resume }: Recovery,
): Promise<string> {
  const { log, print } = operation
  const name = plan.follow?.name ?? (await startExecution(operation, stack, plan, resume))
  const revert = log.changes.job?.revert
  const setStatus = (summary: string, commands: Omit<ChangeStatus, 'summary'>) => {
    log.changes.job = {
      summary: `execution ${name} ${summary}`,
      inspect: describeExecution(stack, name),
      revert,
      ...commands,
    }
  }
  setStatus('is still running in Cloud Run', {
    cancel: cancelExecution(stack, name),
    resume: operation.commands.check(stack, stack.job.maxDurationMs),
  })
  print(`migrate: execution ${name} is running; ${describeExecution(stack, name)}`)
  const execution = await awaitExecution(operation, stack, plan, name)
  const result = resultOf(execution)
  setStatus(`${result} with ${plan.image}`, {
    resume: result === 'succeeded' ? operation.commands.check(stack) : resume,
  })
  if (result === 'succeeded') return `execution ${name} succeeded with ${plan.image}`
  throw failed(`execution ${name} ${result}`, ...tailOf(execution))
}

async function awaitExecution(
  operation: Operation,
  stack: JobStack,
  plan: MigrationPlan,
  name: string,
): Promise<Execution> {
  const { clock, client, log, print } = operation
  const { maxDurationMs } = stack.job
  const showProgress = createProgress(print, clock, maxDurationMs)
  const late = `execution ${name} is still running after ${formatDuration(maxDurationMs)}, the limit of job.maxDuration`
  const get = (deadline: Deadline) => client.executions.get(`${jobName(stack)}/executions/${name}`, deadline)
  return awaitDone(operation, late, {
    read: () => read(operation, get, `execution ${name}`),
    isDone(execution) {
      log.execution = execution
      showProgress(execution)
      return executionStage(execution) === 'ended'
    },
    timeoutMs: remainingMs(operation, stack, plan.follow),
  })
}

/** Reads everything again, so that exactly the verified version of the job is executed, with the image still in service. */
async function startExecution(
  operation: Operation,
  stack: JobStack,
  plan: MigrationPlan,
  resume: string,
): Promise<string> {
  const { signal, takeSnapshot, writer, log } = operation
  for (let tries = 1; ; tries += 1) {
    const current = planMigration(stack, await takeSnapshot(stack), plan.newRevision)
    if (current.image !== plan.image) throw imageConflict(plan, current)
    if (current.follow) return current.follow.name
    assertLocked(stack, plan, current.job)
    if (signal.aborted) throw interrupted()
    const possible = {
      summary: `an execution of job ${current.job.name} may have been started with ${plan.image}`,
      inspect: listExecutions(stack),
      resume,
      revert: log.changes.job?.revert,
    }
    try {
      return await operation.write('job', possible, () =>
        writer.runJob(jobName(stack), current.job.etag, current.job.latestCreatedExecution?.name ?? null),
      )
    } catch (error) {
      // The etag was old and nothing was started. If only the status of the job changed, the next try succeeds.
      if (!(error instanceof DriftwatchError && error.code === 'CONFLICT') || tries === 3) throw error
    }
  }
}

function imageConflict(plan: MigrationPlan, current: MigrationPlan): DriftwatchError {
  return new DriftwatchError(
    'CONFLICT',
    `the service was changed concurrently, and the job was not executed. Revision ${current.revision} now runs ${current.image}, but the job was pinned to ${plan.image}.`,
  )
}

/** The rest of `job.maxDuration`; a followed execution has used a part of it. */
function remainingMs({ clock }: Operation, { job }: JobStack, followed: Execution | null): number {
  const used = followed?.createTime ? Math.max(0, clock.now() - followed.createTime) : 0
  return Math.max(0, job.maxDurationMs - used)
}

/** The result of an execution that has ended, as a clause. */
function resultOf(execution: Execution): string {
  const { name, createTime } = execution
  const { kind } = executionVerdict(execution, { name, createTime, completionStatus: 'unspecified' })
  if (kind === 'succeeded' || kind === 'failed') return kind
  return kind === 'cancelled' ? 'was cancelled' : 'ended without a known result'
}

/** Takes a snapshot before anything is written, and for a receipt also runs the checks. */
export async function recordInitialState(operation: Operation): Promise<StackSnapshot> {
  const { takeSnapshot, runChecks, stack, log, dryRun, writesReceipt } = operation
  const [snapshot, report] = await Promise.all([takeSnapshot(stack), dryRun || !writesReceipt ? null : runChecks()])
  log.before = snapshot
  log.reportBefore = report
  return snapshot
}

/** A cycle of checks costs more than reading one resource. */
const checkPauseMs = 5000

/** Checks the stack from new observations; repeats that, for at most `waitMs`, while the result may change. */
export async function recheck(operation: Operation, waitMs = 0): Promise<void> {
  const { clock, log, stack, print, writesReceipt } = operation
  await operation.step('check', async () => {
    const until = clock.monotonic() + waitMs
    const isFinal = createResultWait(line => waitMs > 0 && print(`check: ${line}`))
    const { kind, value } = await waitUntil(operation, {
      read: () => operation.runChecks(),
      isDone: report => isFinal(report, until - clock.monotonic()),
      timeoutMs: waitMs,
      pauseMs: checkPauseMs,
    })
    log.reportAfter = value
    if (kind === 'interrupted') throw interrupted()
    if (!value) throw failed(`stack ${stack.name} could not be checked`)
    if (writesReceipt) log.after = await operation.takeSnapshot(stack)
    return `stack ${stack.name} is ${value.status.replace('_', ' ')}`
  })
}

function jobName({ project, region, job }: JobStack): string {
  return `projects/${project}/locations/${region}/jobs/${job.name}`
}

async function read<T>(
  { clock, config }: Operation,
  get: (deadline: Deadline) => Promise<T | null>,
  resource: string,
): Promise<T> {
  const value = await withDeadline(clock, config.timeoutMs, undefined, get)
  if (value !== null) return value
  throw new DriftwatchError('NOT_FOUND', `${resource} was deleted during the command`)
}
