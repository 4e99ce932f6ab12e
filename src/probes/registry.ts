import type { RegistryReader } from '../clients/registry/registry-reader.ts'
import type { Stack } from '../config/config.ts'
import { openQuestionsOf } from '../release/compared-images.ts'
import {
  questionKey,
  type RegistryAnswer,
  type RegistryAnswers,
  type RegistryQuestion,
} from '../release/registry-answers.ts'
import { expectedSide, readExecutionImage, readJobImage } from '../release/release.ts'
import type { Probe } from './probe.ts'
import type { StackReader } from './stack-reader.ts'

/** A tag's digest leads to the index that holds it, and that is where questions end. */
const mostRounds = 3

/**
 * Asks registries what digests alone leave open about the images of a stack. That a registry did not answer is an answer;
 * where nobody can be asked there is none.
 */
export function createRegistryProbe(reader: StackReader, registry: RegistryReader | null): Probe<'registry'> {
  return {
    kind: 'registry',
    async observe(stack) {
      return registry ? askAll(reader, registry, stack) : new Map()
    },
  }
}

async function askAll(reader: StackReader, registry: RegistryReader, stack: Stack): Promise<RegistryAnswers> {
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
async function seeImages(reader: StackReader, stack: Stack, signal: AbortSignal) {
  const [observed, job, execution] = await Promise.all([
    orNull(reader.service(stack), signal),
    orNull(reader.job(stack), signal),
    orNull(reader.execution(stack), signal),
  ])
  if (!observed) return null
  const { release } = observed
  const containers = { service: stack.service.container, job: stack.job?.container ?? null }
  return {
    release,
    expected: expectedSide(stack.service.expectedImage, release),
    job: job && readJobImage(job, release, containers.job),
    execution: execution?.execution
      ? readExecutionImage(execution.execution, release, execution.revisionThen, containers)
      : null,
  }
}

function orNull<T>(look: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const late = new Promise<null>(resolve => signal.addEventListener('abort', () => resolve(null), { once: true }))
  return Promise.race([look.catch(() => null), late])
}
