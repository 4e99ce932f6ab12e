import { grpc } from 'google-gax'

/**
 * One of Google's clients. After a request that was not answered it is opened anew: its connection may be dead without
 * anybody having said so, and a client that could not connect waits ever longer, up to two minutes, before it tries again.
 */
export interface ReconnectingClient<Client> {
  /** Makes a request of the client that is open now, or of a new one. */
  call<T>(request: (client: Client) => Promise<T>): Promise<T>
  close(): Promise<void>
}

interface Held<Client> {
  readonly client: Client
  calls: number
}

/** `open` gives a client with a connection of its own. */
export function createReconnectingClient<Client extends { close(): Promise<void> }>(
  open: () => Client,
): ReconnectingClient<Client> {
  const all = new Set<Held<Client>>()
  let current: Held<Client> | null = null

  function hold(): Held<Client> {
    const held = { client: open(), calls: 0 }
    all.add(held)
    return held
  }

  /** What others still wait for is not taken from them. */
  async function closeUnused(held: Held<Client>): Promise<void> {
    if (held === current || held.calls > 0 || !all.delete(held)) return
    await held.client.close()
  }

  return {
    async call(request) {
      current ??= hold()
      const held = current
      held.calls += 1
      try {
        return await request(held.client)
      } catch (thrown) {
        if (held === current && isUnanswered(thrown)) current = null
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

/** What gRPC says of a stream that is ended with ENHANCE_YOUR_CALM. A quota is a status that the server sends, in its own words. */
const toldToBeCalm = 'Bandwidth exhausted or memory limit exceeded'

function isUnanswered(thrown: unknown): boolean {
  const { code, details } = (thrown ?? {}) as { code?: unknown; details?: unknown }
  if (code === grpc.status.RESOURCE_EXHAUSTED) return details === toldToBeCalm
  return code === grpc.status.UNAVAILABLE || code === grpc.status.DEADLINE_EXCEEDED
}
