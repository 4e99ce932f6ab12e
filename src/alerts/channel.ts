import type { Transition } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import type { ChannelState } from '../report/report.ts'

/** A destination for alerts. */
export interface Channel {
  readonly name: string
  /** Publishes the result of a cycle, or of checks that became stale without one. Returns immediately; never throws. */
  publish(snapshot: Snapshot, transitions: readonly Transition[]): void
  /** The state that the report shows. */
  state(): ChannelState
  /** Stops publishing, and abandons a publish in progress. */
  close(): Promise<void>
}

export interface ChannelListeners {
  /** A publish ended. */
  onPublished(channel: string, result: 'ok' | 'failed'): void
  /** The value of `state` has changed. */
  onState(): void
}
