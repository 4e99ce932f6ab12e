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

/** Tags lead to digests, and digests to indexes. No questions follow. */
const maxRounds = 3

/** Asks registries the questions that the digests of a stack leave open. A failed request is an answer. */
export function createRegistryProbe(reader: StackReader, registry: RegistryReader | null): Probe<'registry'> {
  return {
    kind: 'registry',
    async observe(stack) {
      if (!registry) return new Map()
      const images = await readImages(reader, stack, registry.signal)
      return images ? askOpen(registry, answers => openQuestionsOf(images.release, images, answers)) : new Map()
    },
  }
}

/** Asks the open questions, given the answers so far, until there are none. */
export async function askOpen(
  registry: RegistryReader,
  openQuestions: (answers: RegistryAnswers) => readonly RegistryQuestion[],
): Promise<RegistryAnswers> {
  const answers = new Map<string, RegistryAnswer>()
  for (let round = 0; round < maxRounds; round += 1) {
    const questions = openQuestions(answers)
    if (questions.length === 0) break
    await Promise.all(questions.map(async question => answers.set(questionKey(question), await registry.ask(question))))
  }
  return answers
}

/** A resource that cannot be read in time raises no questions: its own probe reports the failure. */
async function readImages(reader: StackReader, stack: Stack, signal: AbortSignal) {
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

function orNull<T>(reading: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const late = new Promise<null>(resolve => signal.addEventListener('abort', () => resolve(null), { once: true }))
  return Promise.race([reading.catch(() => null), late])
}
