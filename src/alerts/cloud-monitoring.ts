import type { EpochMs } from '../clock.ts'
import { createLatestQueue } from '../concurrency/latest-queue.ts'
import type { CheckError } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import { asDriftwatchError } from '../errors.ts'
import type { Channel, ChannelListeners } from './channel.ts'
import { createPublisher, type PublisherOptions } from './publisher.ts'

const name = 'cloud-monitoring'

/** Cloud Monitoring refuses points of one series that are closer; one publishing follows another by no less. */
const shortestGapMs = 10_000

export interface CloudMonitoringOptions extends ChannelListeners, PublisherOptions {
  /** What else is to be said of the channel, such as that its policies differ. */
  remark?(): CheckError | null
}

/**
 * Writes what each cycle found as metrics, in a queue of its own that holds the latest snapshot only: however slow Cloud
 * Monitoring is, no cycle waits for it.
 */
export function createCloudMonitoringChannel(options: CloudMonitoringOptions): Channel {
  const { clock, log, onPublished, onState, remark = () => null } = options
  const publisher = createPublisher(options)
  const queue = createLatestQueue({ clock, gapMs: shortestGapMs, work: publishOne })
  let lastCycle: number | null = null
  let publishedAt: EpochMs | null = null
  let error: CheckError | null = null
  let notice: CheckError | null = null

  async function publishOne(snapshot: Snapshot, ending: AbortSignal): Promise<void> {
    try {
      notice = await publisher.publish(snapshot, ending)
      publishedAt = clock.now()
      error = null
    } catch (thrown) {
      if (ending.aborted) return
      const { code, message } = asDriftwatchError(thrown)
      error = { code, message, at: clock.now() }
      log.warn({ channel: name, code, error: message }, 'publishing failed')
    }
    onPublished(name, error === null ? 'ok' : 'failed')
    onState()
  }

  return {
    name,
    publish(snapshot) {
      // What goes stale without a cycle is not written: the heartbeat stands for a cycle, and its silence is the alarm.
      if (snapshot.cycle === null || snapshot.cycle.id === lastCycle) return
      lastCycle = snapshot.cycle.id
      queue.put(snapshot)
    },
    state: () => ({ channel: name, publishedAt, error: error ?? remark() ?? notice }),
    close: () => queue.close(),
  }
}
