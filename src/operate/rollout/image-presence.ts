import { openRegistryReader, type RegistryReader } from '../../clients/registry/registry-reader.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import { openRegistryClient } from '../../probes/probe-clients.ts'
import type { Image } from '../../release/image.ts'
import { formatImage } from '../../release/image.ts'
import { listImages } from '../../remedies/gcloud.ts'
import type { Operation } from './operation.ts'
import { refused } from './planned-step.ts'

/** Asks the registries within the timeout of a probe. Null if no registry is configured. */
export async function askRegistry<T>(
  { clock, config, environment }: Operation,
  ask: (registry: RegistryReader) => Promise<T>,
): Promise<T | null> {
  const registry = openRegistryClient(environment, clock)
  if (!registry) return null
  return withDeadline(clock, config.timeoutMs, undefined, deadline => ask(openRegistryReader(registry, deadline)))
}

/**
 * Throws REFUSED if the registry reports that an image does not exist. Returns a note for the plan if the registry
 * cannot be asked, which does not stop the command; otherwise null.
 */
export async function assertImageExists(operation: Operation, image: Image): Promise<string | null> {
  const { repository, tag, digest } = image
  if (digest === null && tag === null) return null
  const answer = await askRegistry(operation, registry =>
    registry.ask(
      digest === null
        ? { about: 'tag', repository, tag: tag ?? '' }
        : { about: 'presence', repository, digest, expected: 'digest' },
    ),
  ).catch(error => ({ kind: 'failed', message: String(error.message) }) as const)
  if (answer?.kind === 'absent')
    throw refused(
      `image ${formatImage(image)} does not exist in its registry, so Cloud Run cannot start it. Push the image again, or deploy an image that exists.`,
      listImages(repository),
    )
  if (answer === null) return 'whether the image exists was not verified: no registry is configured'
  return answer.kind === 'failed' ? `whether the image exists was not verified: ${answer.message}` : null
}

/** The first step, with the note. */
export function withNote<T extends { readonly text: string }>(steps: readonly T[], note: string | null): T[] {
  return steps.map((step, at) => (at === 0 && note !== null ? { ...step, text: `${step.text}; ${note}` } : step))
}
