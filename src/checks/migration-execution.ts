import { formatTime } from '../clock.ts'
import type { JobStack } from '../config/config.ts'
import { formatDuration } from '../duration.ts'
import type { Container, Execution, ExecutionReference, Job } from '../release/cloud-run.ts'
import { executionVerdict } from '../release/execution-verdict.ts'
import { shortImage } from '../release/image.ts'
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
import { cannotJudge, conclude, concludePart, differs, type Finding, inSync, type Part, toSentence } from './finding.ts'
import {
  applyGrace,
  describeFailure,
  describeReason,
  type Grace,
  judgeContainer,
  judgeImages,
  judgeWords,
  reportUnrecognizedState,
} from './parts/cloud-run-parts.ts'
import { findServingImage } from './parts/serving-image.ts'

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
    const grace = { observedAt: input.observedAt, rolloutGraceMs: input.config.rolloutGraceMs }
    const reference = job.latestCreatedExecution
    if (!reference)
      return job.executionCount === 0
        ? neverRan(stack, job, grace)
        : concludePart(
            cannotJudge({ code: 'DETAIL_EXPIRED', message: `job ${job.name} does not report its latest execution` }),
          )
    const observed = execution?.execution ?? null
    // The execution that was read may no longer be the latest.
    const latest = observed?.name === reference.name ? observed : null
    return judgeLatest({ input, stack, job, reference, execution: latest, release, grace })
  },
}

/** Pending at first: a new job is executed for the first time after it was created. */
function neverRan(stack: JobStack, job: Job, grace: Grace): Finding {
  const summary = `Job ${stack.job.name} has never been executed: no migration has run.`
  const difference = { path: 'execution', expected: 'an execution' }
  return concludePart(differs(applyGrace(job.createTime, grace), summary, difference))
}

function judgeLatest(latest: Latest): Finding {
  const { stack, execution, reference, release, input } = latest
  const serving = findServingImage(stack, release)
  const containers = { job: stack.job.container, service: stack.service.container }
  const image =
    execution &&
    readExecutionImage(execution, release, input.observed.execution?.revisionThen ?? null, containers, latest.job)
  const parts: Part[] = [judgeVerdict(latest), ...(image ? judgeWhatRan(latest, image) : [expired(latest)])]
  const served = serving.kind === 'known' ? `${shortImage(serving.side.image)}, ` : ''
  return conclude(parts, `Migration ${reference.name} succeeded with ${served}the image in service.`)
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
      const tasks = execution && describeTasks(execution)
      const result = [verdict.kind, tasks].filter(text => text).join(': ')
      const actual = [result, verdict.reason && describeFailure(verdict.reason)].filter(text => text).join(': ')
      const verb = verdict.kind === 'failed' ? '' : 'was '
      const summary = toSentence(
        `the latest migration ${reference.name} ${verb}${result}${describeReason(verdict.reason)}`,
      )
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
  if (serving.kind === 'unknown') parts.push(cannotJudge(serving.reason))
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
