import { formatTime } from '../clock.ts'
import type { JobStack } from '../config/config.ts'
import { formatDuration } from '../duration.ts'
import type { Container, Execution, ExecutionReference, Job } from '../release/cloud-run.ts'
import { compareImages, knownImage } from '../release/compare-images.ts'
import { executionVerdict, isSuperseded } from '../release/execution-verdict.ts'
import { pinnedImage, shortImage } from '../release/image.ts'
import {
  type ContainerImage,
  laterOf,
  type Release,
  readExecutionImage,
  readJobImage,
  serviceChangedAt,
} from '../release/release.ts'
import type { UnknownReason } from '../release/unknown-reason.ts'
import type { Check, CheckInput } from './check.ts'
import { type Difference, type Finding, toSentence } from './finding.ts'
import { cancelExecution, describeExecution, executeJob, updateJob } from './fix.ts'
import {
  applyGrace,
  describeFailure,
  type Grace,
  judgeContainer,
  judgeImages,
  judgeWords,
  reportUnrecognizedState,
} from './parts/cloud-run-parts.ts'
import { cannotJudge, conclude, concludePart, differs, inSync, type Part } from './parts/part.ts'
import { findServingImage, isAllowedImage } from './parts/serving-image.ts'
import { suggestMigrate } from './suggest-migrate.ts'

type Input = CheckInput<'service' | 'job' | 'execution' | 'registry'>

/** The job and its latest execution. */
interface Latest {
  readonly input: Input
  readonly stack: JobStack
  readonly job: Job
  readonly reference: ExecutionReference
  /** Null: Cloud Run no longer has it. */
  readonly execution: Execution | null
  readonly release: Release | null
  readonly grace: Grace
}

/** The latest execution succeeded, with the image in service and the configured command and args. */
export const migrationExecution: Check<'service' | 'job' | 'execution' | 'registry'> = {
  kind: 'migration-execution',
  needs: ['service', 'job', 'execution', 'registry'],
  inSyncLasts: true,
  appliesTo: stack => stack.job !== null,
  judge(input) {
    const stack = input.stack as JobStack
    const { job, service, execution } = input.observed
    if (!job)
      return concludePart(
        cannotJudge({ code: 'DEPENDS_ON', message: `job ${stack.job.name} does not exist; see job-image` }),
      )
    const release = service?.release ?? null
    const reference = job.latestCreatedExecution
    if (!reference)
      return job.executionCount === 0
        ? neverRan(stack, job, release)
        : concludePart(
            cannotJudge({ code: 'DETAIL_EXPIRED', message: `job ${job.name} does not report its latest execution` }),
          )
    const grace = { observedAt: input.observedAt, rolloutGraceMs: input.config.rolloutGraceMs }
    const observed = execution?.execution ?? null
    // The execution that was read may no longer be the latest.
    const latest = observed && !isSuperseded(observed, reference) ? observed : null
    return judgeLatest({ input, stack, job, reference, execution: latest, release, grace })
  },
}

function neverRan(stack: JobStack, job: Job, release: Release | null): Finding {
  const summary = `Job ${stack.job.name} has never been executed: no migration has run.`
  const part = differs('drifted', summary, { path: 'execution', expected: 'an execution' })
  return conclude([part], { inSync: '', fix: () => suggestMigrate(stack, release, job) ?? executeJob(stack) })
}

function judgeLatest(latest: Latest): Finding {
  const { stack, execution, reference, release, input } = latest
  const serving = findServingImage(stack, release)
  const image =
    execution &&
    readExecutionImage(execution, release, input.observed.execution?.revisionThen ?? null, {
      job: stack.job.container,
      service: stack.service.container,
    })
  const parts: Part[] = [judgeVerdict(latest), ...(image ? judgeWhatRan(latest, image) : [expired(latest)])]
  return conclude(parts, {
    inSync: `Migration ${reference.name} succeeded with ${serving.kind === 'known' ? `${shortImage(serving.side.image)}, ` : ''}the image in service.`,
    fix: differences => fixFor(latest, differences),
  })
}

function expired({ job, reference }: Latest): Part {
  const message = `execution ${reference.name} of job ${job.name} is no longer available: the image that it ran is unknown`
  return cannotJudge({ code: 'DETAIL_EXPIRED', message })
}

function judgeVerdict(latest: Latest): Part {
  const { reference, execution } = latest
  const verdict = executionVerdict(execution, reference)
  switch (verdict.kind) {
    case 'succeeded':
      return inSync
    case 'failed':
    case 'cancelled': {
      const [tasks, reason] = [execution && describeTasks(execution), verdict.reason && describeFailure(verdict.reason)]
      const actual = [verdict.kind, tasks, reason].filter(text => text).join(': ')
      const verb = verdict.kind === 'failed' ? '' : 'was '
      const summary = toSentence(`the latest migration ${reference.name} ${verb}${actual}`)
      const via = describeStart(latest)
      return differs('drifted', summary, { path: 'execution.result', expected: 'succeeded', actual, via })
    }
    case 'under-way':
      return judgeProgress(latest)
    case 'unrecognized':
      return cannotJudge(reportUnrecognizedState(`execution ${reference.name}`, verdict.value))
    case 'untold':
      return absent(`execution ${reference.name} does not report whether it completed`)
  }
}

function absent(message: string): Part {
  return cannotJudge({ code: 'CONDITION_ABSENT', message })
}

/** `1 of 3 tasks failed`; null for a single task. */
function describeTasks({ taskCount, failedCount }: Execution): string | null {
  return taskCount > 1 && failedCount > 0 ? `${failedCount} of ${taskCount} tasks failed` : null
}

function judgeProgress(latest: Latest): Part {
  const { stack, reference, grace } = latest
  const createTime = latest.execution?.createTime ?? reference.createTime
  const { maxDurationMs } = stack.job
  if (createTime === null) return absent(`execution ${reference.name} is in progress but has no creation time`)
  const status = applyGrace(createTime, { ...grace, rolloutGraceMs: maxDurationMs })
  const [age, limit] = [formatDuration(grace.observedAt - createTime), formatDuration(maxDurationMs)]
  const state = status === 'pending' ? 'is in progress' : 'is stuck: it has been in progress'
  const summary = `Migration ${reference.name} ${state} for ${age} (limit: ${limit}).`
  return differs(status, summary, {
    path: 'execution.completion',
    kind: 'missing',
    expected: `completed within ${limit}`,
    actual: `in progress for ${age}`,
    via: describeStart(latest),
  })
}

function judgeWhatRan(latest: Latest, image: ContainerImage): Part[] {
  const { stack, reference, release, grace, input } = latest
  const serving = findServingImage(stack, release)
  const parts = [judgeContainer(image, stack.job.container, 'execution.container', `execution ${reference.name}`)]
  if (serving.kind === 'doubt') parts.push(cannotJudge(serving.doubt))
  if (image.kind !== 'found') return parts
  if (serving.kind === 'known' && release) {
    const changedAt = laterOf(serviceChangedAt(release, serving.revision), latest.execution?.createTime ?? null)
    const summary = (expected: string, actual: string) =>
      `The latest migration ran with ${actual}, but the service runs ${expected}.`
    const pair = { expected: serving.side, actual: image.side, answers: input.observed.registry }
    parts.push(
      judgeImages(pair, { path: 'execution.image', summary, via: describeStart(latest) }, applyGrace(changedAt, grace)),
    )
  }
  return [...parts, ...judgeEntrypoint(latest, image.container)]
}

/** Compares with the configuration, whose differences no rollout explains; what it does not define, with the job. */
function judgeEntrypoint(latest: Latest, ran: Container): Part[] {
  const { stack, job, reference, release, grace, execution } = latest
  const ofJob = readJobImage(job, release, stack.job.container)
  return (['command', 'args'] as const).flatMap(what => {
    const [subject, via] = [`the latest migration ${reference.name}`, describeStart(latest)]
    const words = { path: `execution.${what}`, subject, what, via }
    const configured = stack.job[what]
    if (configured) return [judgeWords({ expected: configured, actual: ran[what] }, words, 'drifted')]
    if (ofJob.kind !== 'found') return [cannotJudge(entrypointDoubt(ofJob, job))]
    const changedAt = laterOf(job.updateTime, execution?.createTime ?? null)
    return [judgeWords({ expected: ofJob.container[what], actual: ran[what] }, words, applyGrace(changedAt, grace))]
  })
}

function entrypointDoubt(ofJob: Exclude<ContainerImage, { kind: 'found' }>, { name }: Job): UnknownReason {
  return ofJob.kind === 'unknown'
    ? ofJob.reason
    : { code: 'DEPENDS_ON', message: `job ${name} does not have the configured container; see job-image` }
}

function describeStart({ execution, reference }: Latest): string | null {
  const createTime = execution?.createTime ?? reference.createTime
  const time = createTime !== null && `at ${formatTime(createTime)}`
  const words = [execution?.creator && `by ${execution.creator}`, time].filter(word => word)
  return words.length > 0 ? `started ${words.join(' ')}` : null
}

/**
 * Fixes the job, if needed, before executing it again. An execution in progress is cancelled first, or only described while
 * it may still succeed.
 */
function fixFor(latest: Latest, differences: readonly Difference[]): string | null {
  const { stack, job, release, reference } = latest
  const serving = findServingImage(stack, release)
  // While the service itself runs an image that is not allowed, the service comes first.
  if (serving.kind === 'known' && !isAllowedImage(stack, serving.side.image)) return null
  const inProgress = differences.some(difference => difference.path === 'execution.completion')
  if (inProgress && differences.length === 1 && judgeProgress(latest).status === 'pending')
    return describeExecution(stack, reference.name)
  const cancel = inProgress ? [cancelExecution(stack, reference.name)] : []
  const rerun = suggestMigrate(stack, release, job) ?? [...fixJob(latest), executeJob(stack)].join(' && ')
  return [...cancel, rerun].join(' && ')
}

function fixJob({ stack, job, release, input }: Latest): string[] {
  const serving = findServingImage(stack, release)
  const ofJob = readJobImage(job, release, stack.job.container)
  if (ofJob.kind !== 'found') return []
  const { registry } = input.observed
  const image = serving.kind === 'known' ? pinnedImage(knownImage(serving.side, registry)) : null
  const wrongImage = serving.kind === 'known' && compareImages(serving.side, ofJob.side, registry).result !== 'equal'
  const wrong = (what: 'command' | 'args') =>
    stack.job[what] !== null && JSON.stringify(stack.job[what]) !== JSON.stringify(ofJob.container[what])
  return wrongImage || wrong('command') || wrong('args') ? [updateJob(stack, image, wrong('args'))] : []
}
