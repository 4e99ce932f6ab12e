import { printable } from '../../printable.ts'
import { compareGrants, type GrantsComparison } from '../judge/compare.ts'
import { describeDiscrepancy, describeInLine } from '../judge/describe.ts'
import type { Discrepancy } from '../judge/discrepancy.ts'
import type { Catalog } from '../model/catalog.ts'
import { showIdentifier } from '../model/identifiers.ts'
import type { Oid } from '../model/oid.ts'
import type { GrantsPolicy } from '../model/policy.ts'
import { createDraft } from './draft.ts'
import { createOperator, superuserOperator, type TemporaryMembership } from './operator.ts'
import { createPrivilegePlanner } from './privilege-steps.ts'
import { remediate } from './remediate.ts'
import { writeGrantMembership, writeRevokeMembership } from './statements.ts'

/** Statements with a common reason. */
export interface PlanStep {
  /** The reason, on one line. */
  readonly comment: string
  /** Without their semicolons. */
  readonly statements: readonly string[]
}

/** The statements that make a database match its policy. */
export interface GrantsPlan {
  /** To run in this order in one transaction. Empty if the database is in sync. */
  readonly steps: readonly PlanStep[]
  /** What the operator cannot do, with the reason: one line each. */
  readonly impossible: readonly string[]
  /** The differences that remain after the plan, one line each. Empty if nothing is impossible. */
  readonly left: readonly string[]
}

/**
 * Plans the statements on a draft of the catalog, and compares it with the policy after each round: revoking one right can
 * make another grant necessary. `operatorRole` runs the plan; null: a superuser.
 */
export function planGrants(policy: GrantsPolicy, catalog: Catalog, operatorRole: Oid | null): GrantsPlan {
  const draft = createDraft(catalog)
  const steps: PlanStep[] = []
  const impossible: string[] = []
  const isModern = catalog.serverVersion >= 160000
  const nameOf = (role: Oid) => draft.role(role)?.name ?? String(role)
  const show = (role: Oid) => showIdentifier(nameOf(role))
  const join = ({ role }: TemporaryMembership) => steps.push(startMembership(nameOf(role), isModern))
  const operator =
    operatorRole === null
      ? superuserOperator()
      : createOperator({ draft, role: operatorRole, isModern, onTemporaryMembership: join }, show)
  const refused = new Set<string>()
  const remediateOne = (found: Discrepancy, comparison: GrantsComparison): boolean => {
    const line = describeInLine(describeDiscrepancy(found, comparison.context))
    const privileges = createPrivilegePlanner({
      draft,
      isJudged: role => comparison.context.policy.isJudged(role),
      canTransferTo: (role, schema) => operator.transferTo(role, schema) === null,
    })
    const before = steps.length
    const reason = remediate(found, {
      ...{ policy, draft, operator, privileges, operatorRole, isModern, comparison, nameOf },
      emit: statements => steps.push({ comment: line, statements }),
    })
    if (reason !== null) {
      refused.add(identityOf(found))
      impossible.push(`${line}: ${reason}`)
    }
    return steps.length > before
  }
  const isRefused = (found: Discrepancy) => refused.has(identityOf(found))
  const { discrepancies, context } = remediateAll(() => compareGrants(policy, draft.catalog()), remediateOne, isRefused)
  const lineOf = (found: Discrepancy) => describeInLine(describeDiscrepancy(found, context))
  for (const found of discrepancies.filter(one => !isRefused(one)))
    impossible.push(`${lineOf(found)}: no statement fixes it`)
  const ending = operator.temporaryMemberships.toReversed().map(membership => endMembership(membership, nameOf))
  return { steps: [...steps, ...ending], impossible, left: discrepancies.map(lineOf) }
}

const maxRounds = 100

/** Repeats: remediate the discrepancies of the lowest possible rank, then compare again. Returns the last comparison. */
function remediateAll(
  compare: () => GrantsComparison,
  remediateOne: (found: Discrepancy, comparison: GrantsComparison) => boolean,
  isRefused: (found: Discrepancy) => boolean,
): GrantsComparison {
  for (let round = 0; ; round++) {
    const comparison = compare()
    const open = comparison.discrepancies.filter(found => !isRefused(found))
    const byRank = Map.groupBy(open, rankOf)
    const ranks = [...byRank.keys()].sort((one, other) => one - other)
    // Not `some` over the discrepancies: all of one rank are remediated before the next comparison.
    const moved = ranks.some(
      rank => (byRank.get(rank) ?? []).filter(found => remediateOne(found, comparison)).length > 0,
    )
    if (!moved || round >= maxRounds) return comparison
  }
}

/**
 * Roles before their rights, ownership before rights, unexpected before missing, and a schema before its objects, because
 * referring to them needs USAGE on the schema.
 */
function rankOf(found: Discrepancy): number {
  switch (found.type) {
    case 'role-missing':
      return 0
    case 'attribute':
      return 1
    case 'member-unexpected':
    case 'member-admin':
      return 2
    // Members of an unbounded role come after the role itself: limiting it may be enough.
    case 'unbounded':
      return found.route.path.length === 0 ? 3 : 4
    case 'schema-missing':
      return 5
    case 'owner':
      return found.objects === 'schema' ? 6 : 8
    case 'right':
    case 'default':
      if (found.kind === 'unexpected') return 9
      return found.objects === 'schema' ? 7 : 11
    case 'member-missing':
      return 10
  }
}

/** Identifies a discrepancy across comparisons, whatever objects it still concerns. */
function identityOf(found: Discrepancy): string {
  const { targets, ...rest } = { targets: null, ...found }
  return JSON.stringify(rest)
}

function startMembership(name: string, isModern: boolean): PlanStep {
  return {
    comment: `temporary membership in ${showIdentifier(name)}, ended below`,
    statements: [writeGrantMembership(name, null, isModern ? { inherit: true, set: true } : null)],
  }
}

function endMembership({ role, before }: TemporaryMembership, nameOf: (role: Oid) => string): PlanStep {
  const name = nameOf(role)
  return {
    comment: `end of the temporary membership in ${showIdentifier(name)}`,
    statements: [
      before
        ? writeGrantMembership(name, null, before)
        : writeRevokeMembership({ role: name, member: null, grantor: null }),
    ],
  }
}

/** The plan as a script for psql, in one transaction; empty if there is nothing to do. */
export function renderPlan({ steps, impossible }: GrantsPlan): string {
  const cannot = impossible.map(reason => `-- cannot be done: ${printable(reason)}\n`).join('')
  if (steps.length === 0) return cannot
  const body = steps.map(
    ({ comment, statements }) => `-- ${printable(comment)}\n${statements.map(sql => `${sql};\n`).join('')}`,
  )
  return `${cannot}BEGIN;\nSET LOCAL search_path = '';\n\n${body.join('\n')}\nCOMMIT;\n`
}
