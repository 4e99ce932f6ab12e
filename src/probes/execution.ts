import type { Probe } from './probe.ts'
import type { StackReader } from './stack-reader.ts'

/** Observes the latest execution of the migration job. */
export function createExecutionProbe(reader: StackReader): Probe<'execution'> {
  return { kind: 'execution', observe: reader.execution }
}
