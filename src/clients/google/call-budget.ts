import { TokenBucket } from 'limiter'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError } from '../../errors.ts'

/** The allowed calls per minute in each place. */
export interface CallRates {
  readonly steady: number
  /** While there is more to read than the steady rate allows. */
  readonly catchUp: number
}

/** Limits calls to a share of the quota, which each project and region has for itself. */
export interface CallBudget {
  /** Waits until one call is allowed, in order of arrival. Rejects with QUOTA_SPENT if that would be after the deadline. */
  take(resource: string, deadline: Deadline): Promise<void>
  /** For calls that can wait: a rejected one does not raise the rate. */
  readonly optional: Pick<CallBudget, 'take'>
  /** How many optional calls a place allows now: none while there is more to read than the steady rate allows. */
  spare(resource: string): number
  /** Ends a cycle and returns how many calls it rejected: if any, the next cycle may use the catch-up rate. */
  endCycle(): number
  /** Applies from the next cycle on. */
  use(rates: CallRates): void
}

interface PlaceQueue {
  readonly bucket: TokenBucket
  /** The number of calls that wait. */
  waiting: number
}

const minuteMs = 60_000

/** Optional calls leave this share of a minute's calls to the others, and less if the rate is very low. */
const keptShare = 0.5
const fewCalls = 4

/** Starts with the catch-up rate, because the first cycle has the whole fleet to read. */
export function createCallBudget(clock: Clock, initial: CallRates): CallBudget {
  const queues = new Map<string, PlaceQueue>()
  let rates = initial
  let perMinute = rates.catchUp
  let rejected = 0
  let isSteady = false

  function queueOf(resource: string): PlaceQueue {
    const [, project, , region] = resource.split('/')
    const place = `${project}/${region}`
    const queue = queues.get(place) ?? { bucket: fullBucket(perMinute), waiting: 0 }
    queues.set(place, queue)
    return queue
  }

  function setRate(calls: number): void {
    perMinute = calls
    for (const { bucket } of queues.values()) {
      bucket.drip()
      bucket.bucketSize = calls
      bucket.tokensPerInterval = calls
    }
  }

  async function take(resource: string, deadline: Deadline): Promise<void> {
    const queue = queueOf(resource)
    const { bucket } = queue
    if (queue.waiting === 0 && bucket.tryRemoveTokens(1)) return
    bucket.drip()
    const waitMs = ((queue.waiting + 1 - bucket.content) * minuteMs) / perMinute
    if (clock.monotonic() + waitMs >= deadline.at) {
      const message = `the ${perMinute} calls per minute that \`quota\` allows in this place are used up; retrying in a later cycle`
      throw new DriftwatchError('QUOTA_SPENT', message)
    }
    queue.waiting += 1
    try {
      await clock.sleep(waitMs, deadline.signal)
      while (!bucket.tryRemoveTokens(1)) await clock.sleep(Math.max(1, bucket.getWaitTime(1)), deadline.signal)
    } finally {
      queue.waiting -= 1
    }
  }

  return {
    async take(resource, deadline) {
      await take(resource, deadline).catch(thrown => {
        if (thrown instanceof DriftwatchError && thrown.code === 'QUOTA_SPENT') rejected += 1
        throw thrown
      })
    },
    optional: { take },
    spare(resource) {
      const { bucket, waiting } = queueOf(resource)
      if (!isSteady || waiting > 0) return 0
      bucket.drip()
      return bucket.content - Math.min(perMinute * keptShare, Math.max(0, perMinute - fewCalls))
    },
    endCycle() {
      const left = rejected
      rejected = 0
      isSteady = left === 0
      setRate(left > 0 ? rates.catchUp : rates.steady)
      return left
    },
    use(next) {
      rates = next
    },
  }
}

function fullBucket(perMinute: number): TokenBucket {
  const bucket = new TokenBucket({ bucketSize: perMinute, tokensPerInterval: perMinute, interval: minuteMs })
  bucket.content = perMinute
  return bucket
}
