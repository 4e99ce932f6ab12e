/** One request that the emulator got. */
export interface RegistryCall {
  readonly method: string
  readonly about: RegistryCallAbout
  /** The repository's path, empty where the request names none. */
  readonly repository: string
  /** Tag or digest, empty where the request names none. */
  readonly reference: string
  /** The scheme it authenticated with (`basic`, `bearer`) or `none`; never the secret. */
  readonly authorization: string
  /** How it was answered; null while it was not. */
  status: number | null
  /** Whether the client left, or was thrown out, before the answer was whole. */
  broken: boolean
}

/** `nothing`: a path that the API does not have. */
export type RegistryCallAbout = 'manifests' | 'token' | 'blobs' | 'tags' | 'ping' | 'nothing'

/** Every request since the start or the last `clear`, the newest last. */
export interface RegistryRequests {
  readonly all: readonly RegistryCall[]
  /** How many requests of each kind there were: `{ 'HEAD manifests': 2, 'GET token': 1 }`. */
  counts(): Record<string, number>
  clear(): void
}

/** So that a sandbox that runs for days does not fill the memory. */
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
