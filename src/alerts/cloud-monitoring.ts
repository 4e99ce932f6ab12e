import type { EpochMs } from '../clock.ts'
import { createLatestQueue } from '../concurrency/latest-queue.ts'
import type { CheckError } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import { asDriftwatchError } from '../errors.ts'
import type { Channel, ChannelListeners } from './channel.ts'
import { createPublisher, type PublisherOptions } from './publisher.ts'

const name = 'cloud-monitoring'

/** Cloud Monitoring rejects points of one series that are closer together. */
const minimumGapMs = 10_000

export interface CloudMonitoringOptions extends ChannelListeners, PublisherOptions {
  /** The error of the policies, shown if publishing works. */
  policyError?(): CheckError | null
}

/** Writes the result of each cycle as metrics. Its queue holds only the latest snapshot, so that no cycle waits for it. */
export function createCloudMonitoringChannel(options: CloudMonitoringOptions): Channel {
  const { clock, log, onPublished, onState, policyError = () => null } = options
  const publishSnapshot = createPublisher(options)
  const queue = createLatestQueue({ clock, gapMs: minimumGapMs, work: publishOne })
  let lastCycle: number | null = null
  let publishedAt: EpochMs | null = null
  let error: CheckError | null = null
  let notice: CheckError | null = null

  async function publishOne(snapshot: Snapshot, ending: AbortSignal): Promise<void> {
    try {
      notice = await publishSnapshot(snapshot, ending)
      publishedAt = clock.now()
      error = null
    } catch (thrown) {
      if (ending.aborted) return
      const { code, message } = asDriftwatchError(thrown)
      error = { code, message, at: clock.now() }
      log.warn({ channel: name, code, error: message }, 'publish failed')
    }
    onPublished(name, error === null ? 'ok' : 'failed')
    onState()
  }

  return {
    name,
    publish(snapshot) {
      // Checks that became stale without a cycle are not written: the missing heartbeat opens the "silent" alert.
      if (snapshot.cycle === null || snapshot.cycle.id === lastCycle) return
      lastCycle = snapshot.cycle.id
      queue.put(snapshot)
    },
    state: () => ({ channel: name, publishedAt, error: error ?? policyError() ?? notice }),
    close: () => queue.close(),
  }
}
