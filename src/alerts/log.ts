import type { Status } from '../checks/status.ts'
import { type Clock, type EpochMs, formatTime } from '../clock.ts'
import type { Transition } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import type { Log } from '../log.ts'
import type { Channel, ChannelListeners } from './channel.ts'

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
 * One line for each change of status, and one for each check that is drifted when it is looked at first: a log-based
 * alert must not miss what was wrong before Driftwatch began.
 */
export function createLogChannel(log: Log, clock: Clock, { onPublished, onState }: ChannelListeners): Channel {
  const met = new Set<string>()
  let publishedAt: EpochMs | null = null

  function tell({ since, ...told }: Told): void {
    log[levels[told.to]]({ ...told, since: formatTime(since) }, 'a check has changed its status')
  }

  return {
    name,
    publish(snapshot, transitions) {
      for (const told of firstFindings(snapshot, met)) tell(told)
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

/** The drifts of checks that have not been `met` before; they are from now on. */
function firstFindings({ stacks }: Snapshot, met: Set<string>): Told[] {
  const judged = stacks.flatMap(({ name, states }) =>
    states.filter(({ observedAt }) => observedAt !== null).map(state => ({ stack: name, ...state })),
  )
  const fresh = judged.filter(({ stack, check }) => !met.has(`${stack}/${check}`))
  for (const { stack, check } of fresh) met.add(`${stack}/${check}`)
  return fresh
    .filter(({ status }) => status === 'drifted')
    .map(({ stack, check, status, since, differences }) => ({
      stack,
      check,
      from: null,
      to: status,
      since,
      differences,
    }))
}
