interface Flight<T> {
  readonly result: Promise<T>
  readonly abort: AbortController
  waiting: number
}

/** Work in progress that equal callers share. */
export interface SingleFlight<T> {
  /**
   * Joins the work of that key, or starts it. Rejects with the signal's reason when that aborts; the work itself is
   * aborted only when its last caller has left.
   */
  run(key: string, signal: AbortSignal, start: (signal: AbortSignal) => Promise<T>): Promise<T>
}

export function createSingleFlight<T>(): SingleFlight<T> {
  const singleFlight = new Map<string, Flight<T>>()

  function launch(key: string, start: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const abort = new AbortController()
    const flight: Flight<T> = { result: start(abort.signal), abort, waiting: 0 }
    singleFlight.set(key, flight)
    return flight
  }

  return {
    async run(key, signal, start) {
      signal.throwIfAborted()
      const flight = singleFlight.get(key) ?? launch(key, start)
      flight.waiting++
      try {
        return await unlessAborted(flight.result, signal)
      } finally {
        flight.waiting--
        if (flight.waiting === 0) {
          if (singleFlight.get(key) === flight) singleFlight.delete(key)
          flight.abort.abort()
        }
      }
    },
  }
}

async function unlessAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const leave = () => reject(signal.reason)
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([result, aborted])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
