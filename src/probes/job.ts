import type { Probe } from './probe.ts'
import type { StackReader } from './stack-reader.ts'

/** Observes the migration job. */
export function createJobProbe(reader: StackReader): Probe<'job'> {
  return { kind: 'job', observe: reader.job }
}
