import type { CodeName } from './refusal.ts'

/** One request that the emulator got. */
export interface Call {
  /** `GetService`, `ListRevisions`, ... */
  readonly method: string
  /** The name that was asked for, or the parent of a list. */
  readonly resource: string
  readonly pageSize: number
  readonly pageToken: string
  /** How it was answered; null while it was not. */
  code: CodeName | null
}

/** Every request since the start or the last `clear`, the newest last. */
export interface CallLog {
  readonly all: readonly Call[]
  /** How many requests each method got; methods that got none are left out. */
  counts(): Record<string, number>
  clear(): void
  /** Tells of each request as it comes, before it is answered; ends that with what is returned. */
  onCall(listener: (call: Call) => void): () => void
}

/** So that a sandbox that runs for days does not fill the memory. */
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
