import { type CloudRunClient, createCloudRunClient } from '../../clients/cloud-run/cloud-run.ts'
import { createCloudRunReaders } from '../../clients/cloud-run/cloud-run-reader.ts'
import type { Clock, EpochMs } from '../../clock.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import type { Config, Stack } from '../../config/config.ts'
import type { Environment } from '../../config/environment.ts'
import { DriftwatchError } from '../../errors.ts'
import { createStackReaders } from '../../probes/stack-reader.ts'
import type { Execution, Job, Revision, Service } from '../../release/cloud-run.ts'
import type { Release } from '../../release/release.ts'

/** The Cloud Run resources of a stack at one moment. Null: the resource does not exist. */
export interface StackSnapshot {
  readonly seenAt: EpochMs
  readonly service: Service | null
  /** By short name: the revisions in service, and the one created last. */
  readonly revisions: ReadonlyMap<string, Revision | null>
  readonly release: Release | null
  readonly job: Job | null
  /** The first page, the newest first. */
  readonly executions: readonly Execution[]
}

/** Reads a stack without caches; rejects with a DriftwatchError if a read fails. */
export type TakeStackSnapshot = (stack: Stack) => Promise<StackSnapshot>

export function createSnapshotTaker(client: CloudRunClient, clock: Clock, timeoutMs: number): TakeStackSnapshot {
  return stack =>
    withDeadline(clock, timeoutMs, undefined, async deadline => {
      // A new reader for each snapshot: no cached data may be used here.
      const reader = createCloudRunReaders(client, clock).open(deadline)
      const stackReader = createStackReaders().open(reader)
      const [observed, job] = await Promise.all([stackReader.service(stack), stackReader.job(stack)])
      const list = async (name: string) => {
        const parent = `projects/${stack.project}/locations/${stack.region}/jobs/${name}`
        const { items } = await client.executions.list(parent, '', deadline)
        return [...items.values()].toSorted((one, other) => (other.createTime ?? 0) - (one.createTime ?? 0))
      }
      return {
        seenAt: clock.now(),
        service: observed?.service ?? null,
        revisions: observed?.revisions ?? new Map(),
        release: observed?.release ?? null,
        job,
        executions: job ? await orLatestOnly(list(job.name), () => reader.latestExecution(stack, job)) : [],
      }
    })
}

/** The number of stacks that are read concurrently, to save quota. */
const concurrency = 5

/** Takes a snapshot of every stack of a configuration, in its order; null for a stack that could not be read. */
export async function snapshotAll(
  { stacks, timeoutMs }: Config,
  { environment, clock }: { readonly environment: Environment; readonly clock: Clock },
): Promise<{ readonly stack: Stack; readonly snapshot: StackSnapshot | null }[]> {
  const client = createCloudRunClient({ clock, emulatorHost: environment.cloudRunEmulatorHost })
  const takeSnapshot = createSnapshotTaker(client, clock, timeoutMs)
  const results: { stack: Stack; snapshot: StackSnapshot | null }[] = []
  try {
    for (let at = 0; at < stacks.length; at += concurrency) {
      const group = stacks.slice(at, at + concurrency)
      const read = async (stack: Stack) => ({ stack, snapshot: await takeSnapshot(stack).catch(() => null) })
      results.push(...(await Promise.all(group.map(read))))
    }
    return results
  } finally {
    await client.close()
  }
}

/** Without the permission to list executions, the latest one may still be readable. */
async function orLatestOnly(
  listed: Promise<Execution[]>,
  latest: () => Promise<Execution | null>,
): Promise<Execution[]> {
  try {
    return await listed
  } catch (error) {
    if (!(error instanceof DriftwatchError) || error.code !== 'PERMISSION_DENIED') throw error
    const execution = await latest()
    return execution ? [execution] : []
  }
}
