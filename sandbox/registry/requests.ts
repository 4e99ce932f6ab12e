/** One request to the emulator. */
export interface RegistryCall {
  readonly method: string
  readonly about: RegistryCallAbout
  /** The path of the repository; empty if the request has none. */
  readonly repository: string
  /** Tag or digest; empty if the request has none. */
  readonly reference: string
  /** The authentication scheme: `basic`, `bearer` or `none`. */
  readonly authorization: string
  /** The status of the response; null before it. */
  status: number | null
  /** Whether the connection was closed before the end of the response. */
  broken: boolean
}

/** `nothing`: an unknown path. */
export type RegistryCallAbout = 'manifests' | 'token' | 'blobs' | 'tags' | 'repository' | 'ping' | 'nothing'

/** All requests since the start or the last `clear`, oldest first. */
export interface RegistryRequests {
  readonly all: readonly RegistryCall[]
  /** The number of requests by kind: `{ 'HEAD manifests': 2, 'GET token': 1 }`. */
  counts(): Record<string, number>
  clear(): void
}

/** Limits the memory of a sandbox that runs for days. */
const kept = 10_000

export function createRequestLog(): RegistryRequests & { record(call: RegistryCall): void } {
  const all: RegistryCall[] = []
  return {
    all,
    counts() {
      const counts: Record<string, number> = {}
      for (const { method, about } of all) {
        const kind = `${method} ${about}`
        counts[kind] = (counts[kind] ?? 0) + 1
      }
      return counts
    },
    clear() {
      all.length = 0
    },
    record(call) {
      all.push(call)
      if (all.length > kept) all.splice(0, all.length - kept)
    },
  }
}
