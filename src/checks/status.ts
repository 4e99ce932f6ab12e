/** All statuses, worst first. */
export const statuses = ['drifted', 'unknown', 'pending', 'in_sync'] as const

/**
 * - `in_sync`: a valid observation proves that everything matches
 * - `pending`: differs, and a rollout or migration in progress explains it
 * - `drifted`: differs, proven
 * - `unknown`: could not be judged
 */
export type Status = (typeof statuses)[number]

/** The exit codes of commands that end with a status. 1 is also the code of usage and configuration errors. */
export const exitCodes: Readonly<Record<Status, number>> = { in_sync: 0, unknown: 1, drifted: 2, pending: 3 }

/** The worst status; `unknown` if there is none, because an empty set proves nothing. */
export function worstStatus(all: Iterable<Status>): Status {
  const present = new Set(all)
  return statuses.find(status => present.has(status)) ?? 'unknown'
}
