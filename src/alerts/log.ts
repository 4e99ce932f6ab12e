import type { Status } from '../checks/status.ts'
import { type Clock, type EpochMs, formatTime } from '../clock.ts'
import type { Transition } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import type { Log } from '../log.ts'
import type { Channel, ChannelListeners } from './channel.ts'
import { checkKey } from './points.ts'

const name = 'log'

/** Cloud Logging's severity follows: ERROR, WARNING, INFO, INFO. */
const levels = { drifted: 'error', unknown: 'warn', pending: 'info', in_sync: 'info' } as const satisfies Record<
  Status,
  string
>

/** What a line tells of one check. */
interface Told {
  readonly stack: string
  readonly check: string
  /** Null for what was found first of all. */
  readonly from: Status | null
  readonly to: Status
  readonly since: EpochMs
  readonly differences: Transition['differences']
}

/**
 * One line for each change of status, and one for each check that is drifted when it is looked at first, or again after
 * it was gone: a log-based alert must not miss what was wrong before Driftwatch began to watch it.
 */
export function createLogChannel(log: Log, clock: Clock, { onPublished, onState }: ChannelListeners): Channel {
  let before: ReadonlySet<string> = new Set()
  let publishedAt: EpochMs | null = null

  function tell({ since, ...told }: Told): void {
    log[levels[told.to]]({ ...told, since: formatTime(since) }, 'a check has changed its status')
  }

  return {
    name,
    publish(snapshot, transitions) {
      const drifted = driftedChecks(snapshot)
      const changed = new Set(transitions.map(checkKey))
      for (const [key, told] of drifted) if (!before.has(key) && !changed.has(key)) tell(told)
      before = new Set(drifted.keys())
      for (const { stack, check, from, to, since, differences } of transitions) {
        tell({ stack, check, from, to, since, differences })
      }
      publishedAt = clock.now()
      onPublished(name, 'ok')
      onState()
    },
    state: () => ({ channel: name, publishedAt, error: null }),
    close: async () => {},
  }
}

/** What is drifted now, by a key for each check. */
function driftedChecks({ stacks }: Snapshot): Map<string, Told> {
  const drifted = stacks.flatMap(({ name, states }) =>
    states.filter(({ status }) => status === 'drifted').map(state => ({ stack: name, ...state })),
  )
  return new Map(
    drifted.map(({ stack, check, status, since, differences }) => [
      checkKey({ stack, check }),
      { stack, check, from: null, to: status, since, differences },
    ]),
  )
}
