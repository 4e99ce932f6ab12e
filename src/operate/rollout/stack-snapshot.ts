import { type CloudRunClient, createCloudRunClient } from '../../clients/cloud-run/cloud-run.ts'
import { createCloudRunReaders } from '../../clients/cloud-run/cloud-run-reader.ts'
import type { Clock, EpochMs } from '../../clock.ts'
import { startDeadline } from '../../concurrency/deadline.ts'
import type { Config, Stack } from '../../config/config.ts'
import type { Environment } from '../../config/environment.ts'
import { DriftwatchError } from '../../errors.ts'
import { createStackReaders } from '../../probes/stack-reader.ts'
import type { Execution, Job, Revision, Service } from '../../release/cloud-run.ts'
import type { Release } from '../../release/release.ts'

/** What Cloud Run holds of a stack at one moment. Null: it positively has no such thing. */
export interface StackSnapshot {
  readonly seenAt: EpochMs
  readonly service: Service | null
  /** By short name: those that serve, and the one that was created last. */
  readonly revisions: ReadonlyMap<string, Revision | null>
  readonly release: Release | null
  readonly job: Job | null
  /** The newest first, as many as there are on a page. */
  readonly executions: readonly Execution[]
}

/** Looks at a stack anew each time; rejects with a coded error where it could not look. */
export type TakeStackSnapshot = (stack: Stack) => Promise<StackSnapshot>

export function createStackSnapshots(client: CloudRunClient, clock: Clock, timeoutMs: number): TakeStackSnapshot {
  return async stack => {
    const deadline = startDeadline(clock, timeoutMs)
    // What a reader keeps is for a fleet that is looked at for days: here nothing may be older than the look.
    const reader = createCloudRunReaders({ client, clock }).open(deadline)
    const stackReader = createStackReaders().open(reader)
    try {
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
        executions: job
          ? await orLatestOnly(list(job.name), () => latestOf(job, name => reader.execution(stack, job.name, name)))
          : [],
      }
    } finally {
      deadline.cancel()
    }
  }
}

/** So many stacks are looked at together: a receipt is worth a moment more, and no quota. */
const atOnce = 5

/** Looks once at every stack of a config; null for one that could not be looked at. In the order of the config. */
export async function snapshotAll(
  { stacks, timeoutMs }: Config,
  { environment, clock }: { readonly environment: Environment; readonly clock: Clock },
): Promise<{ readonly stack: Stack; readonly sight: StackSnapshot | null }[]> {
  const client = createCloudRunClient({ clock, emulatorHost: environment.cloudRunEmulatorHost })
  const look = createStackSnapshots(client, clock, timeoutMs)
  const seen: { stack: Stack; sight: StackSnapshot | null }[] = []
  try {
    for (let at = 0; at < stacks.length; at += atOnce) {
      const group = stacks.slice(at, at + atOnce)
      const each = async (stack: Stack) => ({ stack, sight: await look(stack).catch(() => null) })
      seen.push(...(await Promise.all(group.map(each))))
    }
    return seen
  } finally {
    await client.close()
  }
}

/** Who may not list may still get. */
async function orLatestOnly(listed: Promise<Execution[]>, latest: () => Promise<Execution[]>): Promise<Execution[]> {
  try {
    return await listed
  } catch (error) {
    if (error instanceof DriftwatchError && error.code === 'PERMISSION_DENIED') return latest()
    throw error
  }
}

async function latestOf(job: Job, get: (name: string) => Promise<Execution | null>): Promise<Execution[]> {
  const name = job.latestCreatedExecution?.name
  const execution = name ? await get(name) : null
  return execution ? [execution] : []
}
