import type { Status } from '../checks/status.ts'
import { type Clock, type EpochMs, formatTime } from '../clock.ts'
import type { Transition } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import type { Log } from '../log.ts'
import type { Channel, ChannelListeners } from './channel.ts'
import { checkKey } from './points.ts'

const name = 'log'

/** The severities in Cloud Logging are ERROR, WARNING, INFO and INFO. */
const levels = { drifted: 'error', unknown: 'warn', pending: 'info', in_sync: 'info' } as const satisfies Record<
  Status,
  string
>

/** `from` is null if the check had no status before. */
type StatusChange = Omit<Transition, 'from'> & { readonly from: Status | null }

/**
 * Logs each change of status, and each check that is drifted when it is first observed, or observed again after it was
 * gone. Otherwise a log-based alert would miss drift that is older than Driftwatch.
 */
export function createLogChannel(log: Log, clock: Clock, { onPublished, onState }: ChannelListeners): Channel {
  let driftedBefore: ReadonlySet<string> = new Set()
  let publishedAt: EpochMs | null = null

  function logChange({ since, ...change }: StatusChange): void {
    log[levels[change.to]]({ ...change, since: formatTime(since) }, 'check status changed')
  }

  return {
    name,
    publish(snapshot, transitions) {
      const drifted = driftedChecks(snapshot)
      const changed = new Set(transitions.map(checkKey))
      for (const [key, change] of drifted) if (!driftedBefore.has(key) && !changed.has(key)) logChange(change)
      driftedBefore = new Set(drifted.keys())
      for (const change of transitions) logChange(change)
      publishedAt = clock.now()
      onPublished(name, 'ok')
      onState()
    },
    state: () => ({ channel: name, publishedAt, error: null }),
    close: async () => {},
  }
}

/** The drifted checks by their key. */
function driftedChecks({ stacks }: Snapshot): Map<string, StatusChange> {
  const drifted = stacks.flatMap(({ name: stack, states }) =>
    states.flatMap(({ check, status: to, since, differences }): StatusChange[] =>
      to === 'drifted' ? [{ stack, check, from: null, to, since, differences }] : [],
    ),
  )
  return new Map(drifted.map(change => [checkKey(change), change]))
}
