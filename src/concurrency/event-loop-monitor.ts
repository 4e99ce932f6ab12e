import type { Clock } from '../clock.ts'
import { formatDuration } from '../duration.ts'
import { DriftwatchError } from '../errors.ts'

/** Notices when this process stands still: its event loop is blocked, it is stopped, or it gets no CPU. */
export interface EventLoopMonitor {
  /** For how many milliseconds it has stood still since the pulse began. */
  stalledMs(): number
  stop(): void
}

const beatMs = 100

/** Every busy process is late by so much now and then. */
const toleratedMs = 250

export function startEventLoopMonitor(clock: Pick<Clock, 'monotonic' | 'after'>): EventLoopMonitor {
  let stalled = 0
  let lastBeat = clock.monotonic()
  let cancel = () => {}

  /** How long the beat that is due has been missed. */
  function missed(): number {
    const late = clock.monotonic() - lastBeat - beatMs
    return late > toleratedMs ? late : 0
  }

  function beat(): void {
    stalled += missed()
    lastBeat = clock.monotonic()
    cancel = clock.after(beatMs, beat)
  }

  beat()
  return {
    // Whoever asks may come before the beat that was missed.
    stalledMs: () => stalled + missed(),
    stop: () => cancel(),
  }
}

/** Why a look proves nothing. */
export function eventLoopStalled(lostMs: number, allowedMs: number): DriftwatchError {
  const times = `${formatDuration(lostMs)} of the ${formatDuration(allowedMs)} allowed`
  return new DriftwatchError(
    'LOOP_BLOCKED',
    `Driftwatch itself stood still for ${times}: it was blocked, stopped or without CPU`,
  )
}
