import type { CloudRunReader } from '../clients/cloud-run/cloud-run-reader.ts'
import type { RegistryReader } from '../clients/registry/registry-reader.ts'
import type { Stack } from '../config/config.ts'
import { openQuestionsOf } from '../release/compared-images.ts'
import {
  questionKey,
  type RegistryAnswer,
  type RegistryAnswers,
  type RegistryQuestion,
} from '../release/registry-answers.ts'
import { expectedSide, readRelease, sightExecution, sightJob } from '../release/release.ts'
import { observeExecution } from './execution.ts'
import { observeJob } from './job.ts'
import type { Probe } from './probe.ts'
import { observeService } from './service.ts'

/** A tag's digest leads to the index that holds it, and that is where questions end. */
const mostRounds = 3

/**
 * Asks registries what digests alone leave open about the images of a stack. That a registry did not answer is an answer;
 * where nobody can be asked there is none.
 */
export function createRegistryProbe(reader: CloudRunReader, registry: RegistryReader | null): Probe<'registry'> {
  return {
    kind: 'registry',
    async observe(stack) {
      return registry ? askAll(reader, registry, stack) : new Map()
    },
  }
}

async function askAll(reader: CloudRunReader, registry: RegistryReader, stack: Stack): Promise<RegistryAnswers> {
  const seen = await seeImages(reader, stack, registry.signal)
  return seen ? askOpen(registry, answers => openQuestionsOf(seen.release, seen, answers)) : new Map()
}

/** Asks what is open, given the answers so far, until nothing is. */
export async function askOpen(
  registry: RegistryReader,
  openQuestions: (answers: RegistryAnswers) => readonly RegistryQuestion[],
): Promise<RegistryAnswers> {
  const answers = new Map<string, RegistryAnswer>()
  for (let round = 0; round < mostRounds; round += 1) {
    const questions = openQuestions(answers)
    if (questions.length === 0) break
    await Promise.all(questions.map(async question => answers.set(questionKey(question), await registry.ask(question))))
  }
  return answers
}

/** What could not be looked at in time raises no question: the probe that looks says so itself. */
async function seeImages(reader: CloudRunReader, stack: Stack, signal: AbortSignal) {
  const [observed, job, execution] = await Promise.all([
    orNull(observeService(reader, stack), signal),
    orNull(observeJob(reader, stack), signal),
    orNull(observeExecution(reader, stack), signal),
  ])
  if (!observed) return null
  const { service, revisions } = observed
  const containers = { service: stack.service.container, job: stack.job?.container ?? null }
  const release = readRelease(service, revisions, containers.service)
  return {
    release,
    expected: expectedSide(stack.service.expectedImage, release),
    job: job && sightJob(job, release, containers.job),
    execution: execution?.execution
      ? sightExecution(execution.execution, release, execution.revisionThen, containers)
      : null,
  }
}

function orNull<T>(look: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const late = new Promise<null>(resolve => signal.addEventListener('abort', () => resolve(null), { once: true }))
  return Promise.race([look.catch(() => null), late])
}
