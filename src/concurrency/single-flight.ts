import { type Deadline, rejectOnAbort } from './deadline.ts'

/** Shares one execution among callers that ask for the same key at the same time. */
export interface SingleFlight<T> {
  /**
   * Joins the running work of `key`, or starts it. Rejects at the caller's deadline. The work ends at the latest deadline
   * of its callers, and is aborted once the last caller has left.
   */
  run(key: string, deadline: Deadline, start: (deadline: Deadline) => Promise<T>): Promise<T>
}

interface Flight<T> {
  readonly result: Promise<T>
  readonly shared: { at: number }
  readonly abort: AbortController
  callers: number
}

export function createSingleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Flight<T>>()

  function launch(key: string, at: number, start: (deadline: Deadline) => Promise<T>): Flight<T> {
    const abort = new AbortController()
    const shared = { at, signal: abort.signal, over: rejectOnAbort(abort.signal) }
    const flight: Flight<T> = { result: start(shared), shared, abort, callers: 0 }
    flights.set(key, flight)
    return flight
  }

  return {
    async run(key, deadline, start) {
      deadline.signal.throwIfAborted()
      const flight = flights.get(key) ?? launch(key, deadline.at, start)
      flight.shared.at = Math.max(flight.shared.at, deadline.at)
      flight.callers++
      try {
        return await Promise.race([flight.result, deadline.over])
      } finally {
        flight.callers--
        if (flight.callers === 0) {
          if (flights.get(key) === flight) flights.delete(key)
          flight.abort.abort(deadline.signal.reason)
        }
      }
    },
  }
}
