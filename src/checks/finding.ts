import type { UnknownReason } from '../release/unknown-reason.ts'
import { type Status, worstStatus } from './status.ts'

export const differenceKinds = ['missing', 'unexpected', 'changed'] as const
export type DifferenceKind = (typeof differenceKinds)[number]

/** One concrete divergence. */
export interface Difference {
  /** What diverges: `job.image`, `service.traffic`. */
  readonly path: string
  readonly kind: DifferenceKind
  readonly expected: string | null
  readonly actual: string | null
  /** The origin, if known: who changed it last and when, or how a role got a privilege. */
  readonly via: string | null
  /** The objects that one difference covers, up to a limit that the notes state. */
  readonly objects?: readonly string[]
}

/** A finding lists at most this many differences. */
export const maxDifferences = 1000

/** The result of a check. */
export interface Finding {
  readonly status: Status
  /** Full sentences for the on-call person. */
  readonly summary: string
  readonly differences: readonly Difference[]
  /** What the reader should know besides the differences. Full sentences. */
  readonly notes: readonly string[]
  /** Set if something could not be judged. */
  readonly unknownReason: UnknownReason | null
  /** The paths of the differences that no rollout explains: the reason for `drifted`. */
  readonly proven: readonly string[]
}

/** One thing that a check judged, with the result. */
export type Part =
  | { readonly status: 'in_sync'; readonly notes: readonly string[] }
  /** A difference: proven (`drifted`), or explained by a rollout (`pending`). */
  | {
      readonly status: 'drifted' | 'pending'
      /** A full sentence for the on-call person. */
      readonly summary: string
      readonly difference: Difference
      readonly notes: readonly string[]
    }
  /** Could not be judged; `pending` during a rollout. */
  | { readonly status: 'unknown' | 'pending'; readonly unknownReason: UnknownReason; readonly difference?: never }

export const inSync: Part = { status: 'in_sync', notes: [] }

/** Without `kind`: `missing` if there is no actual value, `unexpected` if no expected one, else `changed`. */
export function differs(
  status: 'drifted' | 'pending',
  summary: string,
  { path, expected = null, actual = null, via = null, kind }: Pick<Difference, 'path'> & Partial<Difference>,
  notes: readonly string[] = [],
): Part {
  const usual = actual === null ? 'missing' : expected === null ? 'unexpected' : 'changed'
  return { status, summary, difference: { via, path, kind: kind ?? usual, expected, actual }, notes }
}

/** Anything but `pending` becomes `unknown`, so the status of a failed comparison can be passed on. */
export function cannotJudge(unknownReason: UnknownReason, status: 'unknown' | 'pending' | 'drifted' = 'unknown'): Part {
  return { status: status === 'pending' ? 'pending' : 'unknown', unknownReason }
}

/** Joins the parts of a check into its finding. The worst part decides the status. */
export function conclude(parts: readonly Part[], inSyncSummary: string): Finding {
  const status = worstStatus(parts.map(part => part.status))
  const differing = parts.flatMap(part => ('difference' in part && part.difference ? [part] : []))
  const differences = differing.map(part => part.difference)
  return {
    status,
    summary: status === 'in_sync' ? inSyncSummary : summarise(parts, status),
    differences,
    notes: [...new Set(parts.flatMap(part => ('notes' in part ? part.notes : [])))],
    unknownReason: worstReason(parts),
    proven: differing.filter(part => part.status === 'drifted').map(part => part.difference.path),
  }
}

/** The finding of a check with a single part, which is not in sync. */
export function concludePart(part: Part): Finding {
  return conclude([part], '')
}

/** The sentences of the parts that decide the status. */
function summarise(parts: readonly Part[], status: Finding['status']): string {
  const worst = parts.filter(part => part.status === status)
  const sentences = worst.map(part =>
    'unknownReason' in part ? toSentence(part.unknownReason.message) : 'summary' in part ? part.summary : '',
  )
  return [...new Set(sentences)].join(' ')
}

/** `DEPENDS_ON` comes last, because the other check reports the cause. */
function worstReason(parts: readonly Part[]): UnknownReason | null {
  const unknowns = parts.flatMap(part => ('unknownReason' in part ? [part] : []))
  const order = [
    ...unknowns.filter(part => part.status === 'unknown'),
    ...unknowns.filter(part => part.status === 'pending'),
  ]
  return (order.find(part => part.unknownReason.code !== 'DEPENDS_ON') ?? order[0])?.unknownReason ?? null
}

/** An error message as a sentence: `no credentials` becomes `No credentials.` A name at the start keeps its case. */
export function toSentence(message: string): string {
  const start = /^[a-z]+ /.test(message) ? message.charAt(0).toUpperCase() + message.slice(1) : message
  return /[.!?]$/.test(start) ? start : `${start}.`
}
