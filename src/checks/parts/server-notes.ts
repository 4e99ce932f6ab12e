import type { ObservedServer } from '../../probes/probe.ts'

/** What a reader should know about the server that answered. */
export function serverNotes({ identity, asOf }: ObservedServer): string[] {
  if (!identity.isReplica) return []
  if (asOf === null) return ['A standby of this database answered, and the age of its data is unknown.']
  return ['A standby of this database answered.']
}
