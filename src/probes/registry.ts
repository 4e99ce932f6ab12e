import type { RegistryReader } from '../clients/registry/registry-reader.ts'
import type { Stack } from '../config/config.ts'
import { type ComparedImages, openQuestionsOf, undecidedDigestsOf } from '../release/compared-images.ts'
import {
  questionKey,
  type RegistryAnswer,
  type RegistryAnswers,
  type RegistryQuestion,
} from '../release/registry-answers.ts'
import { digestOf, expectedSide, readExecutionImage, readJobImage } from '../release/release.ts'
import type { Probe } from './probe.ts'
import type { StackReader } from './stack-reader.ts'

/** Tags lead to digests, digests to indexes, and what is absent to its proof. No questions follow. */
const maxRounds = 3

/**
 * Asks registries the questions that the digests of a stack leave open. A failed request is an answer. Where no registry
 * answers, older revisions may: Cloud Run resolved their digests. `signal` aborts before the deadline of the probe.
 */
export function createRegistryProbe(
  reader: StackReader,
  registry: RegistryReader | null,
  signal: AbortSignal,
): Probe<'registry'> {
  // One listener for all stacks of the cycle.
  const late = new Promise<null>(resolve => signal.addEventListener('abort', () => resolve(null), { once: true }))
  return {
    kind: 'registry',
    async observe(stack) {
      const images = await readImages(reader, stack, late)
      if (!images) return new Map()
      const answers = registry ? await askOpen(registry, known => openQuestionsOf(images, known)) : new Map()
      return new Map([...answers, ...(await askRevisions(reader, stack, images, answers, late))])
    },
  }
}

async function askRevisions(
  reader: StackReader,
  stack: Stack,
  images: ComparedImages,
  answers: RegistryAnswers,
  late: Promise<null>,
): Promise<RegistryAnswers> {
  const undecided = undecidedDigestsOf(images, answers)
  if (undecided.length === 0) return new Map()
  const { release } = images
  const read = [release?.madeFromTemplate, ...(release?.serving ?? []).map(({ revision }) => revision)]
  const revisions = (await orNull(reader.revisions(stack), late)) ?? read.filter(revision => revision != null)
  const digests = revisions.map(({ containers }) => digestOf(containers, stack.service.container))
  const resolved = undecided.filter(each => each.about === 'digest' && digests.includes(each.digest))
  return new Map(resolved.map(each => [questionKey(each), { kind: 'holds', digests: [], amd64: [] }]))
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
async function readImages(reader: StackReader, stack: Stack, late: Promise<null>): Promise<ComparedImages | null> {
  const [observed, job, execution] = await Promise.all([
    orNull(
      reader.service(stack).then(service => ({ service })),
      late,
    ),
    orNull(reader.job(stack), late),
    orNull(reader.execution(stack), late),
  ])
  if (!observed) return null
  const release = observed.service?.release ?? null
  const containers = { service: stack.service.container, job: stack.job?.container ?? null }
  return {
    release,
    expected: release && expectedSide(stack.service.expectedImage, release),
    job: job && readJobImage(job, release, containers.job),
    execution: execution?.execution
      ? readExecutionImage(execution.execution, release, execution.revisionThen, containers, job)
      : null,
  }
}

function orNull<T>(reading: Promise<T>, late: Promise<null>): Promise<T | null> {
  return Promise.race([reading.catch(() => null), late])
}
