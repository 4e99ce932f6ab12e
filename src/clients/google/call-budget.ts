import { TokenBucket } from 'limiter'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError } from '../../errors.ts'

/** How many calls a minute may be made in each place. */
export interface CallRates {
  readonly steady: number
  /** While there is more to look at than the steady rate allows. */
  readonly catchUp: number
}

/** Keeps calls to a share of a quota that every project and region has for itself. */
export interface CallBudget {
  /** Waits for leave to make one call, first come first served; rejects with QUOTA_SPENT where the deadline is sooner. */
  take(resource: string, deadline: Deadline): Promise<void>
  /** A round of calls is over. What could not be made in it may be made faster in the next; returns how many those were. */
  roundOver(): number
  /** From the next round on these are the rates. */
  use(rates: CallRates): void
}

/** The calls of one place. */
interface Line {
  readonly bucket: TokenBucket
  /** How many wait for their turn. */
  waiting: number
}

const minuteMs = 60_000

/** At first a fleet is not known: there is much to look at. */
export function createCallBudget(clock: Clock, initial: CallRates): CallBudget {
  const lines = new Map<string, Line>()
  let rates = initial
  let perMinute = rates.catchUp
  let refused = 0

  function lineOf(resource: string): Line {
    const [, project, , region] = resource.split('/')
    const place = `${project}/${region}`
    const line = lines.get(place) ?? { bucket: fullBucket(perMinute), waiting: 0 }
    lines.set(place, line)
    return line
  }

  function allow(calls: number): void {
    perMinute = calls
    for (const { bucket } of lines.values()) {
      bucket.drip()
      bucket.bucketSize = calls
      bucket.tokensPerInterval = calls
    }
  }

  return {
    async take(resource, deadline) {
      const line = lineOf(resource)
      const { bucket } = line
      if (line.waiting === 0 && bucket.tryRemoveTokens(1)) return
      bucket.drip()
      const waitMs = ((line.waiting + 1 - bucket.content) * minuteMs) / perMinute
      if (clock.monotonic() + waitMs >= deadline.at) {
        refused += 1
        throw spent(perMinute)
      }
      line.waiting += 1
      try {
        await clock.sleep(waitMs, deadline.signal)
        while (!bucket.tryRemoveTokens(1)) await clock.sleep(Math.max(1, bucket.getWaitTime(1)), deadline.signal)
      } finally {
        line.waiting -= 1
      }
    },
    roundOver() {
      const left = refused
      refused = 0
      allow(left > 0 ? rates.catchUp : rates.steady)
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

function spent(perMinute: number): DriftwatchError {
  return new DriftwatchError(
    'QUOTA_SPENT',
    `the ${perMinute} calls a minute that \`quota\` allows here are spent: it is asked in a later cycle`,
  )
}
