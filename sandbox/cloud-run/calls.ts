import type { CodeName } from './refusal.ts'

/** One request to the emulator. */
export interface Call {
  /** `GetService`, `ListRevisions`, ... */
  readonly method: string
  /** The resource name, or the parent of a list. */
  readonly resource: string
  readonly pageSize: number
  readonly pageToken: string
  /** The status of the response; null before it. */
  code: CodeName | null
}

/** All requests since the start or the last `clear`, oldest first. */
export interface CallLog {
  readonly all: readonly Call[]
  /** The number of requests by method, without methods that had none. */
  counts(): Record<string, number>
  clear(): void
  /** Calls back for each request before the response; returns a function that unsubscribes. */
  onCall(listener: (call: Call) => void): () => void
}

/** Limits the memory of a sandbox that runs for days. */
const kept = 10_000

export function createCallLog(): CallLog & { record(call: Call): void } {
  const all: Call[] = []
  const listeners = new Set<(call: Call) => void>()
  return {
    all,
    counts() {
      const counts: Record<string, number> = {}
      for (const { method } of all) counts[method] = (counts[method] ?? 0) + 1
      return counts
    },
    clear() {
      all.length = 0
    },
    onCall(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    record(call) {
      for (const listener of listeners) listener(call)
      all.push(call)
      if (all.length > kept) all.splice(0, all.length - kept)
    },
  }
}
