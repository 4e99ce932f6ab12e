import type { Config } from '../../config/config.ts'
import { longestCycleMs, longestGapMs, usualGapMs } from '../../config/schedule-gap.ts'

const minuteMs = 60_000

/** Cloud Monitoring takes no condition that must hold longer, and no longer absence. */
const longestHoldMs = 84_600_000

/** A restart and a slow cycle are no silence. */
const shortestSilenceMs = 3 * minuteMs

/**
 * Over so long looks are judged together, and so long what they say must hold: a minute, and where looks are further
 * apart one gap and what a cycle may take. A look that stands alone leaves the window before it has held, so that it
 * opens nothing, whatever the schedule. The gap is the usual one: nights without looks delay no page of a day.
 */
export function lookWindowMs({ schedule, timeoutMs }: Config): number {
  const gapMs = usualGapMs(schedule)
  return gapMs <= minuteMs ? minuteMs : Math.min(longestHoldMs, wholeMinutes(gapMs + longestCycleMs(timeoutMs)))
}

/** How long a check is unknown before somebody is told: what the config says, and never on one look alone. */
export function unknownAfterMs(config: Config): number {
  return Math.max(config.alerts.unknownAfterMs, lookWindowMs(config))
}

/** How long the monitor may be silent: two rounds missed, or a restart. */
export function silentAfterMs({ schedule, timeoutMs }: Config): number {
  const missed = wholeMinutes(2 * longestGapMs(schedule) + longestCycleMs(timeoutMs))
  return Math.min(longestHoldMs, Math.max(shortestSilenceMs, missed))
}

/** What of the schedule Cloud Monitoring cannot follow. */
export function unwatchableSilence({ schedule }: Config): string[] {
  const gapMs = longestGapMs(schedule)
  if (gapMs < longestHoldMs) return []
  return [
    `the schedule leaves gaps of ${Math.floor(gapMs / 3_600_000)}h, and Cloud Monitoring notices a silence within 23h30m only: "monitor silent" would open in every gap; look more often`,
  ]
}

function wholeMinutes(ms: number): number {
  return Math.ceil(ms / minuteMs) * minuteMs
}
