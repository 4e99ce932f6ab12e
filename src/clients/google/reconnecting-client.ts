import { grpc } from 'google-gax'
import type { ConnectionAge } from '../http/connection-age.ts'

/**
 * One of Google's clients, which is replaced when it reaches its maximum age, because its host name may lead to another
 * server by then, and after a request without a response: its connection may be dead without notice, and a client that
 * cannot connect waits up to two minutes before its next attempt.
 */
export interface ReconnectingClient<Client> {
  /** Sends a request with the current client, or with a new one. */
  call<T>(request: (client: Client) => Promise<T>): Promise<T>
  close(): Promise<void>
}

interface Held<Client> {
  readonly client: Client
  readonly isTooOld: () => boolean
  calls: number
}

/** `open` returns a client with its own connection. */
export function createReconnectingClient<Client extends { close(): Promise<void> }>(
  open: () => Client,
  age: ConnectionAge,
): ReconnectingClient<Client> {
  const all = new Set<Held<Client>>()
  let current: Held<Client> | null = null

  function hold(): Held<Client> {
    const held = { client: open(), isTooOld: age.start(), calls: 0 }
    all.add(held)
    return held
  }

  /** Waits for the calls in progress. */
  async function closeUnused(held: Held<Client>): Promise<void> {
    if (held === current || held.calls > 0 || !all.delete(held)) return
    await held.client.close()
  }

  /** A client that is too old is closed when its last call is over. */
  function takeClient(): Held<Client> {
    const before = current
    if (before !== null && !before.isTooOld()) return before
    current = hold()
    if (before !== null) void closeUnused(before).catch(() => {})
    return current
  }

  return {
    async call(request) {
      const held = takeClient()
      held.calls += 1
      try {
        return await request(held.client)
      } catch (thrown) {
        if (held === current && isConnectionSuspect(thrown)) current = null
        throw thrown
      } finally {
        held.calls -= 1
        await closeUnused(held)
      }
    },
    async close() {
      current = null
      const held = [...all]
      all.clear()
      await Promise.all(held.map(({ client }) => client.close()))
    },
  }
}

/** How gRPC reports ENHANCE_YOUR_CALM. An exceeded quota has the same status, with a text of the server. */
const enhanceYourCalm = 'Bandwidth exhausted or memory limit exceeded'

function isConnectionSuspect(thrown: unknown): boolean {
  const { code, details } = (thrown ?? {}) as { code?: unknown; details?: unknown }
  if (code === grpc.status.RESOURCE_EXHAUSTED) return details === enhanceYourCalm
  return code === grpc.status.UNAVAILABLE || code === grpc.status.DEADLINE_EXCEEDED
}
