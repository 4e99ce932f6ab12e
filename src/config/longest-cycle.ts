/** `driftwatch check` answers within 30 s, and has to start and to print. */
const longestMs = 28_000

/**
 * How long a cycle lasts at the most, in milliseconds. Where many looks hang, others wait for their turn: a look that begins
 * late still has its `timeout`, or the most of it.
 */
export function longestCycleMs(timeoutMs: number): number {
  return Math.max(timeoutMs, Math.min(1.5 * timeoutMs, longestMs))
}
