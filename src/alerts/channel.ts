import type { Transition } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import type { ChannelState } from '../report/report.ts'

/** Where alerts are published. */
export interface Channel {
  readonly name: string
  /** Takes what a cycle found, or what went stale without one. Returns at once, and never throws. */
  publish(snapshot: Snapshot, transitions: readonly Transition[]): void
  /** What the report shows of it. */
  state(): ChannelState
  /** Publishes no more; what is under way is given up. */
  close(): Promise<void>
}

/** Who wants to know what becomes of a channel. */
export interface ChannelListeners {
  /** One publishing ended. */
  onPublished(channel: string, result: 'ok' | 'failed'): void
  /** What `state` gives has changed. */
  onState(): void
}
