import type { CloudRunReader } from '../clients/cloud-run-reader.ts'
import type { Stack } from '../config/schema.ts'
import { servingRevisions } from '../release/serving.ts'
import type { ObservedService, Probe } from './probe.ts'

/** Looks at the service, the revisions that take traffic, and the one that was created last. */
export function createServiceProbe(reader: CloudRunReader): Probe<'service'> {
  return { kind: 'service', observe: stack => observeService(reader, stack) }
}

export async function observeService(reader: CloudRunReader, stack: Stack): Promise<ObservedService | null> {
  const service = await reader.service(stack, stack.service.name)
  if (!service) return null
  const serving = servingRevisions(service)
  const names = new Set(serving.kind === 'revisions' ? serving.names : [])
  if (service.latestCreatedRevision) names.add(service.latestCreatedRevision)
  const revisions = await Promise.all(
    [...names].map(async name => [name, await reader.revision(stack, service, name)] as const),
  )
  return { service, revisions: new Map(revisions) }
}
