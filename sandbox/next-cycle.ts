import { setTimeout as delay } from 'node:timers/promises'

/** Longer than a cycle in which every request times out. */
const limitMs = 60_000

/** Resolves when the service at a URL has completed a cycle that began after now, or after a minute without one. */
export async function nextCycle(url: string, signal: AbortSignal): Promise<void> {
  const since = Date.now()
  while (Date.now() < since + limitMs && !signal.aborted) {
    const startedAt = await lastCycle(url)
    if (startedAt > since) return
    await delay(100)
  }
}

/** When the last completed cycle began, in epoch ms; 0 if that is not known. */
async function lastCycle(url: string): Promise<number> {
  const report = await fetch(`${url}/drift`)
    .then(response => response.json() as Promise<{ readonly cycle: { readonly startedAt: string } | null }>)
    .catch(() => null)
  return report?.cycle ? Date.parse(report.cycle.startedAt) : 0
}
