import type { Clock } from '../clock.ts'
import { formatDuration } from '../duration.ts'
import { DriftwatchError } from '../errors.ts'

/** The time limit of an operation. Every client takes one. */
export interface Deadline {
  /** On the monotonic clock. */
  readonly at: number
  /** Aborts at the deadline, or earlier if the result is no longer needed. The reason is a coded error. */
  readonly signal: AbortSignal
  /** Rejects with the signal's reason. All waiters share it: adding a listener to a signal scans the existing ones. */
  readonly over: Promise<never>
}

/** Starts a deadline that ends after `ms`, or when `ending` aborts. `cancel` releases its timer and listener. */
export function startDeadline(
  clock: Clock,
  ms: number,
  ending?: AbortSignal,
): Deadline & { readonly cancel: () => void } {
  const controller = new AbortController()
  const timeUp = () =>
    controller.abort(new DriftwatchError('DEADLINE_EXCEEDED', `timed out after ${formatDuration(ms)}`))
  const end = () => controller.abort(endingReason(ending?.reason))
  const cancelTimer = clock.after(ms, timeUp)
  if (ending?.aborted) end()
  ending?.addEventListener('abort', end, { once: true })
  return {
    at: clock.monotonic() + ms,
    signal: controller.signal,
    over: rejectOnAbort(controller.signal),
    cancel() {
      cancelTimer()
      ending?.removeEventListener('abort', end)
    },
  }
}

/** The reason of an outer deadline is passed on. A signal without a coded reason is that of a shutdown. */
function endingReason(reason: unknown): DriftwatchError {
  return reason instanceof DriftwatchError ? reason : new DriftwatchError('ABORTED', 'Driftwatch is shutting down')
}

/** Runs `work` with a deadline that ends after `ms`, or when `ending` aborts. */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  ending: AbortSignal | undefined,
  work: (deadline: Deadline) => Promise<T>,
): Promise<T> {
  const deadline = startDeadline(clock, ms, ending)
  try {
    return await work(deadline)
  } finally {
    deadline.cancel()
  }
}

/** Rejects with the signal's reason when it aborts. Without a handler, the rejection is ignored. */
export function rejectOnAbort(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => {})
  if (signal.aborted) reject(signal.reason)
  else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  return promise
}
