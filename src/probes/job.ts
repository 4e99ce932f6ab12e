import type { CloudRunReader } from '../clients/cloud-run/cloud-run-reader.ts'
import type { Stack } from '../config/config.ts'
import type { Job } from '../release/cloud-run.ts'
import type { Probe } from './probe.ts'

/** Looks at the migration job. */
export function createJobProbe(reader: CloudRunReader): Probe<'job'> {
  return { kind: 'job', observe: stack => observeJob(reader, stack) }
}

export async function observeJob(reader: CloudRunReader, stack: Stack): Promise<Job | null> {
  return stack.job && reader.job(stack, stack.job.name)
}
