import type { UnknownReason } from '../../release/unknown-reason.ts'
import type { Difference, Finding } from '../finding.ts'
import { worstStatus } from '../status.ts'

/** One thing that a check looked at, and what came of it. */
export type Part =
  | { readonly status: 'in_sync'; readonly notes: readonly string[] }
  /** A difference: proven, or explained by a rollout. */
  | {
      readonly status: 'drifted' | 'pending'
      /** What an on-call person needs to know of it: a clause without a full stop. */
      readonly summary: string
      readonly difference: Difference
      readonly notes: readonly string[]
    }
  /** Nothing proven; during a rollout that is no reason to worry. */
  | { readonly status: 'unknown' | 'pending'; readonly doubt: UnknownReason; readonly difference?: never }

export const inSync: Part = { status: 'in_sync', notes: [] }

export function differs(
  status: 'drifted' | 'pending',
  summary: string,
  difference: Omit<Difference, 'via'> & { readonly via?: string | null },
  notes: readonly string[] = [],
): Part {
  return { status, summary, difference: { via: null, ...difference }, notes }
}

export function unproven(doubt: UnknownReason, status: 'unknown' | 'pending' = 'unknown'): Part {
  return { status, doubt }
}

/** Joins the parts of a check into its finding: the worst part wins. */
export function conclude(
  parts: readonly Part[],
  outcome: {
    /** The sentence when every part is in sync. */
    readonly inSync: string
    /** The command that mends the differences; not asked where nothing differs. */
    readonly fix: (differences: readonly Difference[]) => string | null
  },
): Finding {
  const status = worstStatus(parts.map(part => part.status))
  const differing = parts.flatMap(part => ('difference' in part && part.difference ? [part] : []))
  const differences = differing.map(part => part.difference)
  return {
    status,
    summary: status === 'in_sync' ? outcome.inSync : summarise(parts, status),
    differences,
    notes: [...new Set(parts.flatMap(part => ('notes' in part ? part.notes : [])))],
    fix: differences.length > 0 ? outcome.fix(differences) : null,
    doubt: worstDoubt(parts),
    proven: differing.filter(part => part.status === 'drifted').map(part => part.difference.path),
  }
}

/** What the worst parts say: a difference before a doubt, since it is the more concrete. */
function summarise(parts: readonly Part[], status: Finding['status']): string {
  const worst = parts.filter(part => part.status === status)
  const sentences = worst.map(part => ('doubt' in part ? part.doubt.message : 'summary' in part ? part.summary : ''))
  return [...new Set(sentences)].join('; ')
}

/** A dependence on another check is the lesser doubt: that check says what is wrong. */
function worstDoubt(parts: readonly Part[]): UnknownReason | null {
  const doubts = parts.flatMap(part => ('doubt' in part ? [part] : []))
  const order = [
    ...doubts.filter(part => part.status === 'unknown'),
    ...doubts.filter(part => part.status === 'pending'),
  ]
  return (order.find(part => part.doubt.code !== 'DEPENDS_ON') ?? order[0])?.doubt ?? null
}
