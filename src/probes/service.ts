import type { Probe } from './probe.ts'
import type { StackReader } from './stack-reader.ts'

/** Observes the service, its serving revisions, and the revision that was created last. */
export function createServiceProbe(reader: StackReader): Probe<'service'> {
  return { kind: 'service', observe: reader.service }
}
