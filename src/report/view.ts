import type { Status } from '../checks/status.ts'
import type { Clock } from '../clock.ts'
import type { Snapshot, Store } from '../drift/store.ts'
import { createRenderer, type Rendered } from './rendered.ts'
import type { ChannelState } from './report.ts'
import { statusOfAll } from './watch-error.ts'

/** The current snapshot in rendered form. */
export interface View {
  /** Replaces the snapshot. */
  show(snapshot: Snapshot): void
  /** Marks the channel states as changed: the next answer renders them again. */
  channelsChanged(): void
  rendered(): Rendered
  counts(): ReturnType<typeof countStatuses>
  close(): void
}

interface ViewOptions {
  readonly store: Store
  readonly clock: Clock
  readonly channelStates: () => readonly ChannelState[]
  /** Called for each new snapshot. */
  readonly onShow: (snapshot: Snapshot) => void
  /** Called when the next state goes stale. Must call `show`. */
  readonly onStale: () => void
}

/** Renders when a cycle ends, when a state goes stale, and after a channel state has changed. */
export function createView({ store, clock, channelStates, onShow, onStale }: ViewOptions): View {
  const render = createRenderer()
  let snapshot = store.snapshot(clock.now())
  let rendered: Rendered
  let isOutdated = false
  let cancelTimer = () => {}

  function renderNow(): void {
    rendered = render(snapshot, channelStates())
    isOutdated = false
  }

  function show(next: Snapshot): void {
    snapshot = next
    renderNow()
    onShow(next)
    cancelTimer()
    // States also go stale while no cycle runs.
    const now = clock.now()
    const staleAt = store.nextStaleAt(now)
    if (staleAt !== null) cancelTimer = clock.after(Math.max(1, staleAt - now), onStale)
  }

  show(snapshot)
  return {
    show,
    channelsChanged() {
      isOutdated = true
    },
    rendered() {
      if (isOutdated) renderNow()
      return rendered
    },
    counts: () => countStatuses(snapshot),
    close: () => cancelTimer(),
  }
}

/** How many checks have each status, and the status of the report. */
function countStatuses(snapshot: Snapshot) {
  const { stacks } = snapshot
  const all = stacks.flatMap(({ states }) => states.map(({ status }) => status))
  const count = (counted: Status) => all.filter(status => status === counted).length
  return {
    status: statusOfAll(snapshot),
    stacks: stacks.length,
    drifted: count('drifted'),
    unknown: count('unknown'),
    pending: count('pending'),
    inSync: count('in_sync'),
  }
}
