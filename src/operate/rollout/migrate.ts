import {
  cancelExecution,
  checkStack,
  describeExecution,
  listExecutions,
  migrateStack,
  restoreJob,
} from '../../checks/fix.ts'
import { failure } from '../../checks/parts/cloud-run-parts.ts'
import type { Status } from '../../checks/status.ts'
import { startDeadline } from '../../concurrency/deadline.ts'
import type { Stack } from '../../config/config.ts'
import { formatDuration } from '../../duration.ts'
import { DriftwatchError } from '../../errors.ts'
import type { Execution, Job } from '../../release/cloud-run.ts'
import { pickContainer } from '../../release/container.ts'
import { executionStage, executionVerdict } from '../../release/execution-verdict.ts'
import type { ChangeStatus } from './change-status.ts'
import { createProgress, tailOf } from './execution-progress.ts'
import { describeMigration, type JobStack, type MigrationPlan, planMigration, sameWords } from './migration-plan.ts'
import { interrupted, type Operation } from './operation.ts'
import { refused, words } from './planned-step.ts'
import { assertServes } from './requested-image.ts'
import type { StackSnapshot } from './stack-snapshot.ts'
import { waitUntil } from './wait.ts'

/** What a status found at the end means to whoever started the command; the same as in `check`. */
export const exitCodes: Readonly<Record<Status, number>> = { in_sync: 0, unknown: 1, drifted: 2, pending: 3 }

/** How long Cloud Run may take to accept an update of a job: it only looks whether the image is there. */
const longestJobUpdateMs = 5 * 60_000

/** Locks the job to the image that serves, executes it, follows it and checks again. Resolves with the exit code. */
export async function migrate(operation: Operation, asked: { readonly image: string | null }): Promise<number> {
  const { stack, agree, dryRun } = operation
  assertJob(stack)
  const snapshot = await lookBefore(operation)
  const plan = planMigration(stack, snapshot, null)
  if (asked.image !== null) await assertServes(operation, asked.image, snapshot, plan)
  await agree([...describeMigration(stack, plan), { name: 'check', text: `check stack ${stack.name} again` }])
  if (dryRun) return 0
  await carryOut(operation, stack, plan, { next: migrateStack(stack), backTo: plan.container.image })
  await checkAgain(operation)
  return exitCodes[operation.record.reportAfter?.status ?? 'unknown']
}

export function assertJob(stack: Stack): asserts stack is JobStack {
  if (!stack.job) throw refused(`stack ${stack.name} has no job in the config: there is nothing to migrate`)
}

/** Where it stops half-way. */
interface Ways {
  /** The command that goes on. */
  readonly next: string
  /** The image that the job gets by going back. */
  readonly backTo: string
}

/** Locks the job, executes or follows it. Rejects with STEP_FAILED where it fails, and with INTERRUPTED. */
export async function carryOut(operation: Operation, stack: JobStack, plan: MigrationPlan, ways: Ways): Promise<void> {
  await operation.step('lock', () => lock(operation, stack, plan, ways))
  await operation.step('migrate', () => run(operation, stack, plan, ways))
}

async function lock(
  operation: Operation,
  stack: JobStack,
  plan: MigrationPlan,
  { next, backTo }: Ways,
): Promise<string> {
  const { job, image, command, args, needsLock } = plan
  if (!needsLock) return `job ${job.name} is locked to ${image} already`
  const ways = { next, back: wayBack(stack, plan, backTo) }
  await operation.write('job', { said: `job ${job.name} may have been set to ${image}`, ...ways }, () =>
    operation.writer.updateJob(jobName(stack), job.etag, { container: stack.job.container, image, command, args }),
  )
  operation.record.standings.job = { said: `job ${job.name} is set to ${image}, and was not executed`, ...ways }
  await verifyLock(operation, stack, plan)
  return `job ${job.name} runs ${image}${command ? ` with the command ${words(command)}` : ''}`
}

/** Back to an image, and to the words that the lock changes. */
function wayBack(stack: JobStack, { container, command, args }: MigrationPlan, image: string): string {
  return restoreJob(stack, {
    image,
    command: sameWords(container.command, command) ? null : container.command,
    args: sameWords(container.args, args) ? null : container.args,
  })
}

async function verifyLock(operation: Operation, stack: JobStack, plan: MigrationPlan): Promise<Job> {
  const { clock, signal, say } = operation
  const { kind, seen: job } = await waitUntil(clock, signal, {
    look: () => readJob(operation, stack),
    isDone: ({ reconciling, terminalCondition, etag }) =>
      etag !== plan.job.etag &&
      !reconciling &&
      terminalCondition?.state !== 'reconciling' &&
      terminalCondition?.state !== 'pending',
    onFailure: message => say(`cannot look at the moment: ${message}`),
    longestMs: longestJobUpdateMs,
  })
  if (kind === 'interrupted') throw interrupted()
  if (kind === 'too-long' || !job)
    throw failed(`job ${plan.job.name} is still reconciling after ${formatDuration(longestJobUpdateMs)}`)
  if (job.terminalCondition?.state !== 'succeeded') {
    const why = job.terminalCondition ? failure(job.terminalCondition) : 'it says nothing of its state'
    throw failed(`job ${job.name} cannot run ${plan.image}: ${why}`)
  }
  assertLocked(stack, plan, job)
  return job
}

/** What was asked for is what is there: the answer to an update is not believed. */
function assertLocked(stack: JobStack, { image, command, args }: MigrationPlan, job: Job): void {
  const pick = pickContainer(job.containers, stack.job.container)
  const is = pick.kind === 'picked' ? pick.container : null
  if (is?.image === image && sameWords(is.command, command) && sameWords(is.args, args)) return
  throw new DriftwatchError(
    'CONFLICT',
    `job ${job.name} was set to ${image} and shows ${is?.image ?? 'no such container'}, command ${words(is?.command ?? [])}: somebody else changed it in between; it was not executed`,
  )
}

async function run(operation: Operation, stack: JobStack, plan: MigrationPlan, { next }: Ways): Promise<string> {
  const { clock, record, say, signal } = operation
  const name = plan.follow?.name ?? (await execute(operation, stack, plan, next))
  const back = record.standings.job?.back
  const stands = (said: string, ways: Omit<ChangeStatus, 'said'> = {}) => {
    record.standings.job = {
      said: `execution ${name} ${said}`,
      see: describeExecution(stack, name),
      ...(back && { back }),
      ...ways,
    }
  }
  stands('runs on in Cloud Run', {
    stop: cancelExecution(stack, name),
    next: checkStack(stack, stack.job.maxDurationMs),
  })
  say(`migrate: execution ${name} is under way; ${describeExecution(stack, name)}`)
  const progress = createProgress(say, clock, stack.job.maxDurationMs)
  const { kind, seen: execution } = await waitUntil(clock, signal, {
    look: () => readExecution(operation, stack, name),
    isDone(seen) {
      record.execution = seen
      progress.show(seen)
      return executionStage(seen) === 'ended'
    },
    onFailure: message => say(`cannot look at the moment: ${message}`),
    longestMs: timeLeft(operation, stack, plan.follow),
  })
  if (kind === 'interrupted') throw interrupted()
  if (kind === 'too-long' || !execution)
    throw failed(
      `execution ${name} has not ended within the ${formatDuration(stack.job.maxDurationMs)} that are allowed (job.maxDuration)`,
    )
  const result = resultOf(execution)
  stands(`${result} with ${plan.image}`, { next: result === 'succeeded' ? checkStack(stack) : next })
  if (result === 'succeeded') return `execution ${name} succeeded with ${plan.image}`
  throw failed(`execution ${name} ${result}`, ...tailOf(execution))
}

/** Everything is read once more: what is executed is what was verified, at this very version, and what serves by now. */
async function execute(operation: Operation, stack: JobStack, plan: MigrationPlan, next: string): Promise<string> {
  const { signal, look, writer, record } = operation
  for (let tries = 1; ; tries += 1) {
    const now = planMigration(stack, await look(stack), plan.made)
    if (now.image !== plan.image) throw conflictOfImages(plan, now)
    if (now.follow) return now.follow.name
    assertLocked(stack, plan, now.job)
    if (signal.aborted) throw interrupted()
    const maybe = {
      said: `an execution of job ${now.job.name} may have been started with ${plan.image}`,
      see: listExecutions(stack),
      next,
      ...(record.standings.job?.back && { back: record.standings.job.back }),
    }
    try {
      return await operation.write('job', maybe, () =>
        writer.runJob(jobName(stack), now.job.etag, now.job.latestCreatedExecution?.name ?? null),
      )
    } catch (error) {
      // An old etag: nothing was started. Where only the state of the job moved, the next look shows the same job.
      if (!(error instanceof DriftwatchError && error.code === 'CONFLICT') || tries === 3) throw error
    }
  }
}

function conflictOfImages(plan: MigrationPlan, now: MigrationPlan): DriftwatchError {
  return new DriftwatchError(
    'CONFLICT',
    `${now.revision} serves ${now.image} by now, and the job was locked to ${plan.image}: somebody else deployed in between; the job was not executed`,
  )
}

/** Of the time that an execution may take; one that is only followed has used some of it. */
function timeLeft({ clock }: Operation, { job }: JobStack, followed: Execution | null): number {
  const used = followed?.createTime ? Math.max(0, clock.now() - followed.createTime) : 0
  return Math.max(0, job.maxDurationMs - used)
}

/** What an execution that has ended came to, as a clause. */
function resultOf(execution: Execution): string {
  const { name, createTime } = execution
  const { kind } = executionVerdict(execution, { name, createTime, completionStatus: 'unspecified' })
  if (kind === 'succeeded' || kind === 'failed') return kind
  return kind === 'cancelled' ? 'was cancelled' : 'has ended, and does not say how'
}

/** What is there before anything is written, and for a receipt how it is judged. */
export async function lookBefore({
  look,
  judge,
  stack,
  record,
  dryRun,
  keepsReceipt,
}: Operation): Promise<StackSnapshot> {
  const [snapshot, report] = await Promise.all([look(stack), dryRun || !keepsReceipt ? null : judge()])
  record.before = snapshot
  record.reportBefore = report
  return snapshot
}

/** A cycle of checks is more than a look. */
const checkPauseMs = 5000

/** Once more everything, from looks of now alone; while it is pending or unknown again and again, for so long at most. */
export async function checkAgain(operation: Operation, waitMs = 0): Promise<void> {
  const { clock, signal, record, stack, say, keepsReceipt } = operation
  await operation.step('check', async () => {
    if (waitMs > 0) say(`check: waits up to ${formatDuration(waitMs)} while something is pending or unknown`)
    const { kind, seen } = await waitUntil(clock, signal, {
      look: () => operation.judge(),
      isDone: ({ status }) => status === 'in_sync' || status === 'drifted',
      onFailure: message => say(`cannot look at the moment: ${message}`),
      longestMs: waitMs,
      pauseMs: checkPauseMs,
    })
    record.reportAfter = seen
    if (kind === 'interrupted') throw interrupted()
    if (!seen) throw failed(`stack ${stack.name} could not be checked`)
    if (keepsReceipt) record.after = await operation.look(stack)
    return `stack ${stack.name} is ${seen.status.replace('_', ' ')}`
  })
}

export function failed(why: string, ...more: readonly string[]): DriftwatchError {
  return new DriftwatchError('STEP_FAILED', [why, ...more.map(line => `  ${line}`)].join('\n'))
}

function jobName({ project, region, job }: JobStack): string {
  return `projects/${project}/locations/${region}/jobs/${job.name}`
}

async function readJob(operation: Operation, stack: JobStack): Promise<Job> {
  return read(operation, deadline => operation.client.jobs.get(jobName(stack), deadline), `job ${stack.job.name}`)
}

async function readExecution(operation: Operation, stack: JobStack, name: string): Promise<Execution> {
  const full = `${jobName(stack)}/executions/${name}`
  return read(operation, deadline => operation.client.executions.get(full, deadline), `execution ${name}`)
}

async function read<T>(
  { clock, config }: Operation,
  get: (deadline: ReturnType<typeof startDeadline>) => Promise<T | null>,
  what: string,
): Promise<T> {
  const deadline = startDeadline(clock, config.timeoutMs)
  try {
    const found = await get(deadline)
    if (found === null) throw new DriftwatchError('NOT_FOUND', `${what} is not there any more: somebody deleted it`)
    return found
  } finally {
    deadline.cancel()
  }
}
