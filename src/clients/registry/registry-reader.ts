import DataLoader from 'dataloader'
import type { Deadline } from '../../concurrency/deadline.ts'
import { questionKey, type RegistryAnswer, type RegistryQuestion } from '../../release/registry-answers.ts'
import type { RegistryClient } from './registry-client.ts'

/** Asks registries for one cycle: equal questions, also of several stacks, are asked once. */
export interface RegistryReader {
  ask(question: RegistryQuestion): Promise<RegistryAnswer>
  /** Aborts when it is too late to ask. */
  readonly signal: AbortSignal
}

/** `signal` ends what is still being asked: sooner than the probes, so that silence is an answer and no failed look. */
export function openRegistryReader(client: RegistryClient, deadline: Deadline): RegistryReader {
  const loader = new DataLoader<RegistryQuestion, RegistryAnswer, string>(
    async ([question]) => (question ? [await client.ask(question, deadline)] : []),
    { maxBatchSize: 1, cacheKeyFn: questionKey },
  )
  return { ask: question => loader.load(question), signal: deadline.signal }
}
