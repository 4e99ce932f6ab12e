/** Every status, the worst first. */
export const statuses = ['drifted', 'unknown', 'pending', 'in_sync'] as const

/**
 * - `in_sync`: proven by an observation that is still fresh
 * - `pending`: diverges, and a rollout explains it
 * - `drifted`: proven to diverge
 * - `unknown`: could not be proven either way
 */
export type Status = (typeof statuses)[number]

/** The worst of several; nothing at all is in sync. */
export function worstStatus(all: Iterable<Status>): Status {
  let worst: Status = 'in_sync'
  for (const status of all) {
    if (statuses.indexOf(status) < statuses.indexOf(worst)) worst = status
  }
  return worst
}
