import DataLoader from 'dataloader'
import type { Deadline } from '../../concurrency/deadline.ts'
import { questionKey, type RegistryAnswer, type RegistryQuestion } from '../../release/registry-answers.ts'
import type { RegistryClient } from './registry-client.ts'

/** The registries during one cycle: equal questions of all stacks are asked once. */
export interface RegistryReader {
  ask(question: RegistryQuestion): Promise<RegistryAnswer>
}

/** `deadline` must be earlier than that of the probes, so that a slow registry is an answer and not a failed probe. */
export function openRegistryReader(client: RegistryClient, deadline: Deadline): RegistryReader {
  const loader = new DataLoader<RegistryQuestion, RegistryAnswer, string>(
    async ([question]) => (question ? [await client.ask(question, deadline)] : []),
    { maxBatchSize: 1, cacheKeyFn: questionKey },
  )
  return { ask: question => loader.load(question) }
}
