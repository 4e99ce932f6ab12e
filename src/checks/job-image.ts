import type { JobStack } from '../config/config.ts'
import type { Job } from '../release/cloud-run.ts'

import { type ImageSide, knownImage, tagQuestion } from '../release/compare-images.ts'
import { formatImage, shortImage } from '../release/image.ts'
import { isProvenAbsent, type RegistryAnswers } from '../release/registry-answers.ts'

import { laterOf, type Release, readJobImage, serviceChangedAt } from '../release/release.ts'
import type { Check, CheckInput } from './check.ts'
import { cannotJudge, conclude, concludePart, differs, type Finding, inSync, type Part } from './finding.ts'
import {
  applyGrace,
  describeLastChange,
  judgeContainer,
  judgeImages,
  judgeLastChange,
  judgeWords,
} from './parts/cloud-run-parts.ts'

import { findServingImage, type ServingImage } from './parts/serving-image.ts'

type Input = CheckInput<'service' | 'job' | 'registry'>

/** The job would run the image in service, with the configured command and args. Its last update did not fail. */
export const jobImage: Check<'service' | 'job' | 'registry'> = {
  kind: 'job-image',
  needs: ['service', 'job', 'registry'],
  inSyncLasts: true,
  appliesTo: stack => stack.job !== null,
  judge(input) {
    const { service: observed, job } = input.observed
    const stack = input.stack as JobStack
    const release = observed?.release ?? null
    return job ? judgeJob(input, stack, job, release) : jobMissing(stack)
  },
}

function jobMissing(stack: JobStack): Finding {
  const { name } = stack.job
  const summary = `Cloud Run has no job ${name} in ${stack.region}, project ${stack.project}.`
  return concludePart(differs('drifted', summary, { path: 'job', expected: name }))
}

function judgeJob(input: Input, stack: JobStack, job: Job, release: Release | null): Finding {
  const grace = { observedAt: input.observedAt, rolloutGraceMs: input.config.rolloutGraceMs }
  const serving = findServingImage(stack, release)
  const image = readJobImage(job, release, stack.job.container)
  const parts: Part[] = [
    judgeLastChange('job', 'update', job, grace),
    judgeContainer(image, stack.job.container, 'job.container', `job ${job.name}`),
    serving.kind === 'unknown' ? cannotJudge(serving.reason) : inSync,
  ]
  const lost = image.kind === 'found' ? lostTag(image.side, job, serving, input.observed.registry) : null
  if (lost) parts.push(lost)
  else if (image.kind === 'found' && serving.kind === 'known' && release) {
    const changedAt = laterOf(serviceChangedAt(release, serving.revision), job.updateTime)
    const summary = (expected: string, actual: string) =>
      `The migration job would run ${actual}, but the service runs ${expected}.`
    const pair = { expected: serving.side, actual: image.side, answers: input.observed.registry }
    parts.push(
      judgeImages(pair, { path: 'job.image', summary, via: describeLastChange(job) }, applyGrace(changedAt, grace)),
    )
  }
  if (image.kind === 'found') parts.push(...judgeEntrypoint(stack, job, image.container))
  return conclude(
    parts,
    serving.kind === 'known'
      ? `The migration job would run ${shortImage(serving.side.image)}, the image in service.`
      : '',
  )
}

/** Null unless the registry certainly does not have the tag of the job. No rollout explains that: the next run fails. */
function lostTag(side: ImageSide, job: Job, serving: ServingImage, answers: RegistryAnswers): Part | null {
  const tag = tagQuestion(side)
  if (!tag || !isProvenAbsent(tag, answers)) return null
  const summary = `The registry does not have ${shortImage(side.image)}, which job ${job.name} uses: its next execution will fail.`
  const expected = formatImage(serving.kind === 'known' ? knownImage(serving.side, answers) : side.image)
  return differs('drifted', summary, { path: 'job.image', expected, via: describeLastChange(job) })
}

/** A difference from the configuration, which no rollout explains. */
function judgeEntrypoint(
  stack: JobStack,
  job: Job,
  actual: { command: readonly string[]; args: readonly string[] },
): Part[] {
  return (['command', 'args'] as const).flatMap(what => {
    const expected = stack.job[what]
    if (expected === null) return []
    const words = { path: `job.${what}`, subject: `job ${job.name}`, what, via: describeLastChange(job) }
    return [judgeWords({ expected, actual: actual[what] }, words, 'drifted')]
  })
}
