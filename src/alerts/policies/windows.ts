import type { Config } from '../../config/config.ts'
import { longestCycleMs, longestGapMs, usualGapMs } from '../../config/schedule-gap.ts'
import { formatDuration } from '../../duration.ts'

const minuteMs = 60_000

/** The maximum duration of a condition, and of an absence, in Cloud Monitoring. */
const maxDurationMs = 84_600_000

/** Tolerates a restart and a slow cycle. */
const minSilenceMs = 3 * minuteMs

/**
 * The alignment window, and also the time that a condition must hold: a minute, or for a slower schedule one gap and the
 * longest cycle. A single observation leaves the window before the condition has held, so it opens nothing. The gap is
 * the usual one, so that nights without cycles do not delay alerts by day.
 */
export function windowMs({ schedule, timeoutMs }: Config): number {
  const gapMs = usualGapMs(schedule)
  return gapMs <= minuteMs ? minuteMs : Math.min(maxDurationMs, wholeMinutes(gapMs + longestCycleMs(timeoutMs)))
}

/** How long a check must be unknown: `unknownAfter`, but never so short that a single observation is enough. */
export function unknownAfterMs(config: Config): number {
  return Math.max(config.alerts.unknownAfterMs, windowMs(config))
}

/** How long the monitor may be silent: two missed cycles, or a restart. */
export function silentAfterMs({ schedule, timeoutMs }: Config): number {
  const missed = wholeMinutes(2 * longestGapMs(schedule) + longestCycleMs(timeoutMs))
  return Math.min(maxDurationMs, Math.max(minSilenceMs, missed))
}

/** The problem of a schedule with longer gaps than Cloud Monitoring supports. */
export function unsupportedGaps({ schedule }: Config): string[] {
  const gapMs = longestGapMs(schedule)
  if (gapMs < maxDurationMs) return []
  return [
    `the schedule has gaps of ${formatDuration(gapMs)}, but Cloud Monitoring cannot wait longer than ${formatDuration(maxDurationMs)} for a heartbeat: the "silent" policy would open in every gap. Run cycles more often.`,
  ]
}

function wholeMinutes(ms: number): number {
  return Math.ceil(ms / minuteMs) * minuteMs
}
