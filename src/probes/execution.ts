import type { CloudRunReader } from '../clients/cloud-run/cloud-run-reader.ts'
import type { Stack } from '../config/config.ts'
import { DriftwatchError } from '../errors.ts'
import type { Execution, Revision } from '../release/cloud-run.ts'
import { isOlderThanServing, readRelease, sightExecution } from '../release/release.ts'
import { observeJob } from './job.ts'
import type { ObservedExecution, Probe } from './probe.ts'
import { observeService } from './service.ts'

/** Looks at the execution that the job names as its latest, and where its tag is older than what serves, at what that meant. */
export function createExecutionProbe(reader: CloudRunReader): Probe<'execution'> {
  return { kind: 'execution', observe: stack => observeExecution(reader, stack) }
}

export async function observeExecution(reader: CloudRunReader, stack: Stack): Promise<ObservedExecution | null> {
  const job = await observeJob(reader, stack)
  if (!job) return null
  const name = job.latestCreatedExecution?.name
  const execution = name ? await reader.execution(stack, job.name, name) : null
  return { execution, revisionThen: execution && (await revisionThen(reader, stack, execution)) }
}

async function revisionThen(reader: CloudRunReader, stack: Stack, execution: Execution): Promise<Revision | null> {
  if (execution.createTime === null || !showsOnlyTag(execution, stack)) return null
  // A service that cannot be looked at is the failed look of another probe.
  const observed = await observeService(reader, stack).catch(() => null)
  if (!observed) return null
  const release = readRelease(observed.service, observed.revisions, stack.service.container)
  if (!isOlderThanServing(execution.createTime, release)) return null
  try {
    return await reader.newestRevisionAt(stack, stack.service.name, execution.createTime)
  } catch (error) {
    // Who may not list may still get: then what the tag meant is not known, and that is an answer.
    if (error instanceof DriftwatchError && error.code === 'PERMISSION_DENIED') return null
    throw error
  }
}

function showsOnlyTag(execution: Execution, { job, service }: Stack): boolean {
  const containers = { job: job?.container ?? null, service: service.container }
  const sighting = sightExecution(execution, null, null, containers)
  return sighting.kind === 'seen' && sighting.side.image.digest === null
}
