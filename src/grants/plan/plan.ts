import { printable } from '../../printable.ts'
import { compareGrants, type GrantsComparison } from '../judge/compare.ts'
import { describeDiscrepancy, describeInLine } from '../judge/describe.ts'
import type { Discrepancy } from '../judge/discrepancy.ts'
import type { Catalog } from '../model/catalog.ts'
import { quoteIdentifier, showIdentifier } from '../model/identifiers.ts'
import type { Oid } from '../model/oid.ts'
import type { GrantsPolicy } from '../model/policy.ts'
import { createDraft } from './draft.ts'
import { createOperator, superuserOperator, type TemporaryMembership } from './operator.ts'
import { createPrivilegePlanner } from './privilege-steps.ts'
import { remediate } from './remediate.ts'

/** Statements that follow from one reason. */
export interface PlanStep {
  /** Why, on one line. */
  readonly comment: string
  /** Without their semicolons. */
  readonly statements: readonly string[]
}

/** What makes a database what its policy says. */
export interface GrantsPlan {
  /** In the order in which they must run, in one transaction. Nothing when the database is in sync. */
  readonly steps: readonly PlanStep[]
  /** What whoever runs it cannot do, or nobody can, and why: one line each. */
  readonly impossible: readonly string[]
  /** What will differ from the policy once it has run, one line each: nothing where nothing is impossible. */
  readonly left: readonly string[]
}

/**
 * Works the statements out on a draft of the catalog, comparing it with the policy again after each round, so that what
 * rested on a right that has to go is granted anew. `operatorRole` is who will run it; null: some superuser.
 */
export function planGrants(policy: GrantsPolicy, catalog: Catalog, operatorRole: Oid | null): GrantsPlan {
  const draft = createDraft(catalog)
  const steps: PlanStep[] = []
  const impossible: string[] = []
  const isModern = catalog.serverVersion >= 160000
  const nameOf = (role: Oid) => draft.role(role)?.name ?? String(role)
  const show = (role: Oid) => showIdentifier(nameOf(role))
  const take = (taken: TemporaryMembership) => steps.push(takeStep(taken, { nameOf, isModern }))
  const operator =
    operatorRole === null
      ? superuserOperator()
      : createOperator({ draft, role: operatorRole, isModern, onTake: take }, show)
  const refused = new Set<string>()
  const settleOne = (found: Discrepancy, comparison: GrantsComparison): boolean => {
    const line = describeInLine(describeDiscrepancy(found, comparison.context))
    const privileges = createPrivilegePlanner({
      draft,
      isJudged: role => comparison.context.policy.isJudged(role),
      mayGiveTo: (role, schema) => operator.giveTo(role, schema) === null,
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
  const { discrepancies, context } = settleAll(() => compareGrants(policy, draft.catalog()), settleOne, isRefused)
  const lineOf = (found: Discrepancy) => describeInLine(describeDiscrepancy(found, context))
  for (const found of discrepancies.filter(one => !isRefused(one)))
    impossible.push(`${lineOf(found)}: no statement fixes it`)
  const giveBack = operator.temporaryMemberships.toReversed().map(taken => giveBackStep(taken, nameOf))
  return { steps: [...steps, ...giveBack], impossible, left: discrepancies.map(lineOf) }
}

const roundsAtMost = 100

/** Settles the discrepancies of the lowest rank that can be settled, compares again, and so on. Returns what it came to. */
function settleAll(
  compare: () => GrantsComparison,
  settleOne: (found: Discrepancy, comparison: GrantsComparison) => boolean,
  isRefused: (found: Discrepancy) => boolean,
): GrantsComparison {
  for (let round = 0; ; round++) {
    const comparison = compare()
    const open = comparison.discrepancies.filter(found => !isRefused(found))
    const byRank = Map.groupBy(open, rankOf)
    const ranks = [...byRank.keys()].sort((one, other) => one - other)
    // Not `some` over the discrepancies: all of one rank are settled before the next comparison.
    const moved = ranks.some(rank => (byRank.get(rank) ?? []).filter(found => settleOne(found, comparison)).length > 0)
    if (!moved || round >= roundsAtMost) return comparison
  }
}

/**
 * Roles before what they hold, ownership before rights, what has to go before what is missing; and a schema before what is
 * in it, since who may not use the schema cannot name its objects.
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
    // Whoever is a member of one loses nothing but that, once it is bound.
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

/** The same discrepancy in a later comparison has the same identity, whatever objects it still is about. */
function identityOf(found: Discrepancy): string {
  const { targets, ...rest } = { targets: null, ...found }
  return JSON.stringify(rest)
}

function takeStep(
  { role }: TemporaryMembership,
  { nameOf, isModern }: { nameOf: (role: Oid) => string; isModern: boolean },
): PlanStep {
  const options = isModern ? ' WITH INHERIT TRUE, SET TRUE' : ''
  return {
    comment: `temporary membership in ${showIdentifier(nameOf(role))}, ended below`,
    statements: [`GRANT ${quoteIdentifier(nameOf(role))} TO CURRENT_USER${options}`],
  }
}

function giveBackStep({ role, before }: TemporaryMembership, nameOf: (role: Oid) => string): PlanStep {
  const name = quoteIdentifier(nameOf(role))
  const comment = `end of the temporary membership in ${showIdentifier(nameOf(role))}`
  if (!before) return { comment, statements: [`REVOKE ${name} FROM CURRENT_USER`] }
  const { inherit, set } = before
  const word = (value: boolean) => (value ? 'TRUE' : 'FALSE')
  return { comment, statements: [`GRANT ${name} TO CURRENT_USER WITH INHERIT ${word(inherit)}, SET ${word(set)}`] }
}

/** The plan as a script that psql runs in one transaction; empty when there is nothing to do. */
export function renderPlan({ steps, impossible }: GrantsPlan): string {
  const cannot = impossible.map(reason => `-- cannot be done: ${printable(reason)}\n`).join('')
  if (steps.length === 0) return cannot
  const body = steps.map(
    ({ comment, statements }) => `-- ${printable(comment)}\n${statements.map(sql => `${sql};\n`).join('')}`,
  )
  return `${cannot}BEGIN;\nSET LOCAL search_path = '';\n\n${body.join('\n')}\nCOMMIT;\n`
}
