import type { Incident } from './incidents.ts'

/** An incident for a terminal: `12:03:30 INCIDENT OPENED ERROR DRIFTED: job-image of runtime ...`. */
export function readableIncident({ openedAt, closedAt, closedBy, severity, subject, links }: Incident): string {
  const clock = new Date(closedAt ?? openedAt).toISOString().slice(11, 19)
  if (closedAt === null) return [clock, 'INCIDENT OPENED', severity, subject, ...links].join(' ')
  return `${clock} INCIDENT CLOSED ${subject} (${closedBy}, after ${Math.round((closedAt - openedAt) / 1000)} s)`
}
