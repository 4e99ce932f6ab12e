import type { CloudRunReader } from '../clients/cloud-run/cloud-run-reader.ts'
import type { Stack } from '../config/config.ts'
import type { Service } from '../release/cloud-run.ts'
import { servingRevisions } from '../release/serving.ts'
import type { ObservedService, Probe } from './probe.ts'

/** Looks at the service, the revisions that take traffic, and the one that was created last. */
export function createServiceProbe(reader: CloudRunReader): Probe<'service'> {
  return { kind: 'service', observe: stack => observeService(reader, stack) }
}

/** What was asked in the cycle of a reader: several probes need it. */
const asked = new WeakMap<CloudRunReader, Map<Stack, Promise<ObservedService | null>>>()

export function observeService(reader: CloudRunReader, stack: Stack): Promise<ObservedService | null> {
  const ofCycle = asked.get(reader) ?? new Map<Stack, Promise<ObservedService | null>>()
  asked.set(reader, ofCycle)
  const answer = ofCycle.get(stack) ?? lookAtService(reader, stack)
  ofCycle.set(stack, answer)
  return answer
}

async function lookAtService(reader: CloudRunReader, stack: Stack): Promise<ObservedService | null> {
  const service = await reader.service(stack, stack.service.name)
  if (!service) return null
  const serving = servingRevisions(service)
  const names = new Set(serving.kind === 'revisions' ? serving.names : [])
  if (service.latestCreatedRevision) names.add(service.latestCreatedRevision)
  const revisions = await Promise.all(
    [...names].map(async name => [name, await reader.revision(stack, service, name)] as const),
  )
  return asSeenBefore({ service, revisions: new Map(revisions) })
}

const seen = new WeakMap<Service, ObservedService>()

/** Where the service and each revision are the objects of before, so is this: whoever compares need not look into it. */
function asSeenBefore(observed: ObservedService): ObservedService {
  const before = seen.get(observed.service)
  if (before && haveSameEntries(before.revisions, observed.revisions)) return before
  seen.set(observed.service, observed)
  return observed
}

function haveSameEntries<Key, Value>(one: ReadonlyMap<Key, Value>, other: ReadonlyMap<Key, Value>): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value)
}
