import { formatTime } from '../clock.ts'
import type { JobConfig, Stack } from '../config/config.ts'
import { formatDuration } from '../duration.ts'
import type { Container, Execution, ExecutionReference, Job } from '../release/cloud-run.ts'
import { compareImages, knownImage } from '../release/compare-images.ts'
import { executionVerdict } from '../release/execution-verdict.ts'
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
import type { Difference, Finding } from './finding.ts'
import { cancelExecution, describeExecution, executeJob, updateJob } from './fix.ts'
import { migrateFix } from './migrate-fix.ts'
import {
  explainable,
  failure,
  type Grace,
  judgeContainer,
  judgeImages,
  judgeWords,
  unrecognizedState,
} from './parts/cloud-run-parts.ts'
import { conclude, differs, inSync, type Part, unproven } from './parts/part.ts'
import { isAllowedImage, whatServes } from './parts/what-serves.ts'

type Input = CheckInput<'service' | 'job' | 'execution' | 'registry'>
type JobStack = Stack & { readonly job: JobConfig }

/** What there is to judge: the job, and the execution that it names as its latest. */
interface Latest {
  readonly input: Input
  readonly stack: JobStack
  readonly job: Job
  readonly reference: ExecutionReference
  /** Null: it is no longer kept. */
  readonly execution: Execution | null
  readonly release: Release | null
  readonly grace: Grace
}

/** The latest execution completed and succeeded, with the image that serves and the command and args of the config. */
export const migrationExecution: Check<'service' | 'job' | 'execution' | 'registry'> = {
  kind: 'migration-execution',
  needs: ['service', 'job', 'execution', 'registry'],
  inSyncLasts: true,
  appliesTo: stack => stack.job !== null,
  judge(input) {
    const stack = input.stack as JobStack
    const { job, service, execution } = input.observed
    if (!job) return onlyDoubt('DEPENDS_ON', `job ${stack.job.name} is missing: see job-image`)
    const release = service?.release ?? null
    const reference = job.latestCreatedExecution
    if (!reference)
      return job.executionCount === 0
        ? neverRan(stack, job, release)
        : onlyDoubt('DETAIL_EXPIRED', `job ${job.name} does not name its latest execution`)
    const grace = { observedAt: input.observedAt, rolloutGraceMs: input.config.rolloutGraceMs }
    const seen = execution?.execution ?? null
    // What another execution did says nothing of the one that the job names.
    const latest = seen?.name === reference.name ? seen : null
    return judgeLatest({ input, stack, job, reference, execution: latest, release, grace })
  },
}

function onlyDoubt(code: 'DEPENDS_ON' | 'DETAIL_EXPIRED', message: string): Finding {
  return conclude([unproven({ code, message })], { inSync: '', fix: () => null })
}

function neverRan(stack: JobStack, job: Job, release: Release | null): Finding {
  const summary = `job ${stack.job.name} has never been executed: the migration did not run`
  const part = differs('drifted', summary, {
    path: 'execution',
    kind: 'missing',
    expected: 'a migration that ran',
    actual: null,
  })
  return conclude([part], { inSync: '', fix: () => migrateFix(stack, release, job) ?? executeJob(stack) })
}

function judgeLatest(latest: Latest): Finding {
  const { stack, execution, reference, release, input } = latest
  const serves = whatServes(stack, release)
  const image =
    execution &&
    readExecutionImage(execution, release, input.observed.execution?.revisionThen ?? null, {
      job: stack.job.container,
      service: stack.service.container,
    })
  const parts: Part[] = [judgeVerdict(latest), ...(image ? judgeWhatRan(latest, image) : [expired(latest)])]
  return conclude(parts, {
    inSync: `${reference.name} succeeded with ${serves.kind === 'side' ? shortImage(serves.side.image) : 'the image'}, which serves`,
    fix: differences => fixFor(latest, differences),
  })
}

function expired({ job, reference }: Latest): Part {
  const message = `execution ${reference.name} of job ${job.name} is no longer kept: what it ran cannot be told`
  return unproven({ code: 'DETAIL_EXPIRED', message })
}

function judgeVerdict(latest: Latest): Part {
  const { reference, execution } = latest
  const verdict = executionVerdict(execution, reference)
  switch (verdict.kind) {
    case 'succeeded':
      return inSync
    case 'failed':
    case 'cancelled': {
      const actual = [verdict.kind, execution && taskCounts(execution), verdict.reason && failure(verdict.reason)]
        .filter(text => text)
        .join(': ')
      const summary = `the latest migration ${reference.name} ${verdict.kind === 'failed' ? '' : 'was '}${actual}`
      return differs('drifted', summary, {
        path: 'execution.result',
        kind: 'changed',
        expected: 'succeeded',
        actual,
        via: startedBy(latest),
      })
    }
    case 'under-way':
      return judgeUnderWay(latest)
    case 'unrecognized':
      return unproven(unrecognizedState(`execution ${reference.name} is in state`, verdict.value))
    case 'untold':
      return unproven({
        code: 'CONDITION_ABSENT',
        message: `execution ${reference.name} does not say whether it completed`,
      })
  }
}

/** `1 of 3 tasks failed`, where there are several. */
function taskCounts({ taskCount, failedCount }: Execution): string | null {
  return taskCount > 1 && failedCount > 0 ? `${failedCount} of ${taskCount} tasks failed` : null
}

function judgeUnderWay(latest: Latest): Part {
  const { stack, reference, grace } = latest
  const createTime = latest.execution?.createTime ?? reference.createTime
  const { maxDurationMs } = stack.job
  if (createTime === null) {
    const message = `execution ${reference.name} is under way and does not say since when`
    return unproven({ code: 'CONDITION_ABSENT', message })
  }
  const status = explainable(createTime, { ...grace, rolloutGraceMs: maxDurationMs })
  const age = formatDuration(grace.observedAt - createTime)
  const summary =
    status === 'pending'
      ? `the migration ${reference.name} has been under way for ${age}, ${formatDuration(maxDurationMs)} are allowed`
      : `the migration ${reference.name} is stuck: under way for ${age}, ${formatDuration(maxDurationMs)} are allowed`
  return differs(status, summary, {
    path: 'execution.completion',
    kind: 'missing',
    expected: `completed within ${formatDuration(maxDurationMs)}`,
    actual: `under way for ${age}`,
    via: startedBy(latest),
  })
}

function judgeWhatRan(latest: Latest, image: ContainerImage): Part[] {
  const { stack, reference, release, grace, input } = latest
  const serves = whatServes(stack, release)
  const parts = [judgeContainer(image, stack.job.container, 'execution.container', `execution ${reference.name}`)]
  if (serves.kind === 'doubt') parts.push(unproven(serves.doubt))
  if (image.kind !== 'found') return parts
  if (serves.kind === 'side' && release) {
    const changedAt = laterOf(serviceChangedAt(release, serves.revision), latest.execution?.createTime ?? null)
    const summary = (expected: string, actual: string) =>
      `the latest migration ran with ${actual}, the service runs ${expected}`
    const pair = { expected: serves.side, actual: image.side, answers: input.observed.registry }
    parts.push(
      judgeImages(pair, { path: 'execution.image', summary, via: startedBy(latest) }, explainable(changedAt, grace)),
    )
  }
  return [...parts, ...judgeEntrypoint(latest, image.container)]
}

/** Against the config, which no rollout explains; where that does not say, against the job. */
function judgeEntrypoint(latest: Latest, ran: Container): Part[] {
  const { stack, job, reference, release, grace, execution } = latest
  const ofJob = readJobImage(job, release, stack.job.container)
  return (['command', 'args'] as const).flatMap(what => {
    const words = {
      path: `execution.${what}`,
      subject: `the latest migration ${reference.name}`,
      what,
      via: startedBy(latest),
    }
    const configured = stack.job[what]
    if (configured) return [judgeWords({ expected: configured, actual: ran[what] }, words, 'drifted')]
    if (ofJob.kind !== 'found') return [unproven(entrypointDoubt(ofJob, job))]
    const changedAt = laterOf(job.updateTime, execution?.createTime ?? null)
    return [judgeWords({ expected: ofJob.container[what], actual: ran[what] }, words, explainable(changedAt, grace))]
  })
}

function entrypointDoubt(ofJob: Exclude<ContainerImage, { kind: 'found' }>, { name }: Job): UnknownReason {
  return ofJob.kind === 'unknown'
    ? ofJob.reason
    : { code: 'DEPENDS_ON', message: `job ${name} lacks its container: see job-image` }
}

function startedBy({ execution, reference }: Latest): string | null {
  const createTime = execution?.createTime ?? reference.createTime
  const words = [
    execution?.creator && `by ${execution.creator}`,
    createTime !== null && `at ${formatTime(createTime)}`,
  ].filter(word => word)
  return words.length > 0 ? `started ${words.join(' ')}` : null
}

/**
 * A job that would run the wrong thing is mended before it is executed again; an execution that is under way is stopped
 * first, or only followed while it may still succeed.
 */
function fixFor(latest: Latest, differences: readonly Difference[]): string | null {
  const { stack, job, release, reference } = latest
  const serves = whatServes(stack, release)
  // The service is mended first where it runs what it may not.
  if (serves.kind === 'side' && !isAllowedImage(stack, serves.side.image)) return null
  const underWay = differences.some(difference => difference.path === 'execution.completion')
  if (underWay && differences.length === 1 && judgeUnderWay(latest).status === 'pending')
    return describeExecution(stack, reference.name)
  const stop = underWay ? [cancelExecution(stack, reference.name)] : []
  const again = migrateFix(stack, release, job) ?? [...mendJob(latest), executeJob(stack)].join(' && ')
  return [...stop, again].join(' && ')
}

function mendJob({ stack, job, release, input }: Latest): string[] {
  const serves = whatServes(stack, release)
  const ofJob = readJobImage(job, release, stack.job.container)
  if (ofJob.kind !== 'found') return []
  const { registry } = input.observed
  const image = serves.kind === 'side' ? pinnedImage(knownImage(serves.side, registry)) : null
  const wrongImage = serves.kind === 'side' && compareImages(serves.side, ofJob.side, registry).result !== 'equal'
  const wrong = (what: 'command' | 'args') =>
    stack.job[what] !== null && JSON.stringify(stack.job[what]) !== JSON.stringify(ofJob.container[what])
  return wrongImage || wrong('command') || wrong('args') ? [updateJob(stack, image, wrong('args'))] : []
}
