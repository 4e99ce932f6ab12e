import type { JobConfig, Stack } from '../config/config.ts'
import type { Job } from '../release/cloud-run.ts'
import { knownImage } from '../release/compare-images.ts'
import { pinnedImage, shortImage } from '../release/image.ts'
import type { RegistryAnswers } from '../release/registry-answers.ts'
import { laterOf, type Release, readJobImage, serviceChangedAt } from '../release/release.ts'
import type { Check, CheckInput } from './check.ts'
import type { Difference, Finding } from './finding.ts'
import { createJob, updateJob } from './fix.ts'
import { migrateFix } from './migrate-fix.ts'
import {
  changedBy,
  explainable,
  judgeContainer,
  judgeImages,
  judgeLastChange,
  judgeWords,
} from './parts/cloud-run-parts.ts'
import { conclude, differs, inSync, type Part, unproven } from './parts/part.ts'
import { isAllowedImage, whatServes } from './parts/what-serves.ts'

type Input = CheckInput<'service' | 'job' | 'registry'>
type JobStack = Stack & { readonly job: JobConfig }

/** The job would run the image that serves, with the command and args of the config; its last update did not fail. */
export const jobImage: Check<'service' | 'job' | 'registry'> = {
  kind: 'job-image',
  needs: ['service', 'job', 'registry'],
  inSyncLasts: true,
  appliesTo: stack => stack.job !== null,
  judge(input) {
    const { service: observed, job } = input.observed
    const stack = input.stack as JobStack
    const release = observed?.release ?? null
    return job ? judgeJob(input, stack, job, release) : jobMissing(stack, release, input.observed.registry)
  },
}

function jobMissing(stack: JobStack, release: Release | null, answers: RegistryAnswers): Finding {
  const { name } = stack.job
  const summary = `Cloud Run has no job ${name} in ${stack.region} of project ${stack.project}`
  const part = differs('drifted', summary, { path: 'job', kind: 'missing', expected: name, actual: null })
  const serves = whatServes(stack, release)
  return conclude([part], {
    inSync: '',
    fix: () =>
      serves.kind === 'side' && isAllowedImage(stack, serves.side.image)
        ? createJob(stack, pinnedImage(knownImage(serves.side, answers)))
        : null,
  })
}

function judgeJob(input: Input, stack: JobStack, job: Job, release: Release | null): Finding {
  const grace = { observedAt: input.observedAt, rolloutGraceMs: input.config.rolloutGraceMs }
  const serves = whatServes(stack, release)
  const image = readJobImage(job, release, stack.job.container)
  const subject = `job ${job.name}`
  const parts: Part[] = [
    judgeLastChange(
      job,
      { subject, change: 'update', failedPath: 'job.update', reconcilingPath: 'job.reconciling' },
      grace,
    ),
    judgeContainer(image, stack.job.container, 'job.container', subject),
    serves.kind === 'doubt' ? unproven(serves.doubt) : inSync,
  ]
  if (image.kind === 'found' && serves.kind === 'side' && release) {
    const changedAt = laterOf(serviceChangedAt(release, serves.revision), job.updateTime)
    const summary = (expected: string, actual: string) => `the job would run ${actual}, the service runs ${expected}`
    const pair = { expected: serves.side, actual: image.side, answers: input.observed.registry }
    parts.push(judgeImages(pair, { path: 'job.image', summary, via: changedBy(job) }, explainable(changedAt, grace)))
  }
  if (image.kind === 'found') parts.push(...judgeEntrypoint(stack, job, image.container))
  return conclude(parts, {
    inSync: serves.kind === 'side' ? `the job would run ${shortImage(serves.side.image)}, which serves` : '',
    fix: differences => fixFor(input, stack, job, release, differences),
  })
}

/** The service is mended first where it runs what it may not. */
function fixFor(
  { observed }: Input,
  stack: JobStack,
  job: Job,
  release: Release | null,
  differences: readonly Difference[],
): string | null {
  const serves = whatServes(stack, release)
  if (serves.kind === 'side' && !isAllowedImage(stack, serves.side.image)) return null
  const image = serves.kind === 'side' ? pinnedImage(knownImage(serves.side, observed.registry)) : null
  const clearArgs = differences.some(({ path }) => path === 'job.args')
  return migrateFix(stack, release, job) ?? updateJob(stack, image, clearArgs)
}

/** A difference from the config, and so never explained by a rollout. */
function judgeEntrypoint(
  stack: JobStack,
  job: Job,
  actual: { command: readonly string[]; args: readonly string[] },
): Part[] {
  return (['command', 'args'] as const).flatMap(what => {
    const expected = stack.job[what]
    if (expected === null) return []
    const words = { path: `job.${what}`, subject: `job ${job.name}`, what, via: changedBy(job) }
    return [judgeWords({ expected, actual: actual[what] }, words, 'drifted')]
  })
}
