import type { CatalogObject, CatalogRole, Membership, RoleAttribute } from '../model/catalog.ts'
import { showIdentifier } from '../model/identifiers.ts'
import { bootstrapSuperuser, type Oid, PUBLIC } from '../model/oid.ts'
import { type Rights, rightOf } from '../model/privileges.ts'
import type { Draft } from './draft.ts'

/** Who will run a plan: a superuser, or a managed server's admin that has to take the roles that it acts as. */
export interface Operator {
  readonly isSuperuser: boolean
  /**
   * Why statements that need the rights of these roles, each as if by itself, cannot be run; null when they can. What
   * has to be taken for them is taken.
   */
  actAs(roles: readonly Oid[]): string | null
  /** Why a role's attribute cannot be changed. */
  alterRole(role: CatalogRole, attribute: RoleAttribute): string | null
  createRole(attributes: readonly RoleAttribute[]): string | null
  /** Why a role cannot be given to, or taken from, members. */
  manageMembers(role: Oid): string | null
  createInDatabase(): string | null
  /** Why the database cannot get another owner, whoever that is. */
  moveDatabase(): string | null
  /** Why the objects of a schema cannot be named. */
  useSchema(name: string): string | null
  /** Why an object of a schema cannot be given to a role: that needs its own CREATE there, except from a superuser. */
  giveTo(role: Oid, schema: string): string | null
  /** The memberships that were taken and are to be given back. */
  readonly temporaryMemberships: readonly TemporaryMembership[]
  /** Notes that the runner made the role, and thereby administers it (16 and later). */
  madeRole(role: Oid): Membership | null
}

export interface TemporaryMembership {
  readonly role: Oid
  /** What the runner had by its own grant before; null: nothing. */
  readonly before: Membership | null
}

interface RunnerInput {
  /** The state of things by now. */
  readonly draft: Draft
  readonly role: Oid
  /** 16 and later. */
  readonly isModern: boolean
  /** Called before the first statement that needs it. */
  readonly onTake: (taken: TemporaryMembership) => void
}

/** Roles as numbers do not read well, so reasons name them by this. */
type NameOf = (role: Oid) => string

export function superuserOperator(): Operator {
  const can = () => null
  return {
    isSuperuser: true,
    actAs: can,
    alterRole: can,
    createRole: can,
    manageMembers: can,
    createInDatabase: can,
    moveDatabase: can,
    useSchema: can,
    giveTo: can,
    temporaryMemberships: [],
    madeRole: () => null,
  }
}

export function createOperator(input: RunnerInput, nameOf: NameOf): Operator {
  const { draft, isModern } = input
  const self = draft.role(input.role)
  if (self?.superuser) return superuserOperator()
  const taken: TemporaryMembership[] = []
  const who = self ? nameOf(self.oid) : 'the operator'
  const memberships = () => [...draft.memberships, ...taken.map(({ role }) => asMember(role, input.role))]
  const inherited = () => closure(input.role, memberships(), edge => edge.inherit)
  const administers = (role: Oid) => {
    const through = inherited()
    return memberships().some(edge => edge.role === role && edge.admin && through.has(edge.member))
  }
  const manageMembers = (role: Oid): string | null => {
    if (draft.role(role)?.superuser) return `only a superuser can manage the members of superuser ${nameOf(role)}`
    if (administers(role) || (!isModern && self?.createRole)) return null
    return isModern ? `${who} has no ADMIN option on ${nameOf(role)}` : `${who} has no CREATEROLE`
  }
  const take = (role: Oid): string | null => {
    const problem = manageMembers(role)
    if (problem) return `it needs the privileges of ${nameOf(role)}, but ${problem}`
    if (!isModern && !self?.inherit) return `${who} is NOINHERIT and cannot act as ${nameOf(role)}`
    if (closure(role, memberships(), () => true).has(input.role)) return `${nameOf(role)} is a member of ${who}`
    const own = draft.memberships.find(edge => isOwn(edge, role, input.role))
    const step = { role, before: own ?? null }
    taken.push(step)
    input.onTake(step)
    return null
  }
  const actAs = (roles: readonly Oid[]): string | null => {
    for (const role of roles) {
      const can = inherited().has(role) && closure(input.role, memberships(), edge => edge.set).has(role)
      const problem = can ? null : take(role)
      if (problem) return problem
    }
    return null
  }
  const holds = ({ acl }: Pick<CatalogObject, 'acl'>, right: Rights, held: ReadonlySet<Oid> | null = inherited()) => {
    if (held === null) return true
    return acl.some(({ grantee, rights }) => (grantee === PUBLIC || held.has(grantee)) && (rights & right) !== 0)
  }
  return {
    isSuperuser: false,
    temporaryMemberships: taken,
    manageMembers,
    actAs,
    useSchema(name) {
      const schema = draft.schema(name)
      return !schema || holds(schema, rightOf('USAGE')) ? null : actAs([schema.owner])
    },
    giveTo(role, name) {
      const problem = actAs([role])
      const schema = draft.schema(name)
      if (problem || !schema || holds(schema, rightOf('CREATE'), draft.inherited(role))) return problem
      return `${nameOf(role)} has no CREATE on schema ${showIdentifier(name)}`
    },
    alterRole(role, attribute) {
      if (role.superuser || attribute === 'superuser')
        return `only a superuser can change ${attribute} of ${nameOf(role.oid)}`
      if (!self?.createRole) return `${who} has no CREATEROLE`
      if (isModern && !administers(role.oid)) return `${who} has no ADMIN option on ${nameOf(role.oid)}`
      return lacksAttribute(self, attribute, isModern, who)
    },
    createRole(attributes) {
      if (!self?.createRole) return `${who} has no CREATEROLE`
      return (
        attributes.map(attribute => lacksAttribute(self, attribute, isModern, who)).find(problem => problem) ?? null
      )
    },
    createInDatabase() {
      const [database, create] = [draft.database(), rightOf('CREATE')]
      const can = holds(database, create) || (actAs([database.owner]) === null && holds(database, create))
      return can ? null : `${who} has no CREATE on the database`
    },
    moveDatabase: () => (self?.createDb ? null : `${who} has no CREATEDB`),
    madeRole(role) {
      if (!isModern) return null
      return { role, member: input.role, grantor: bootstrapSuperuser, inherit: false, set: false, admin: true }
    },
  }
}

/** From 16 on one gives only what one has; before, replication and bypassing row security are a superuser's to give. */
function lacksAttribute(self: CatalogRole, attribute: RoleAttribute, isModern: boolean, who: string): string | null {
  if (attribute === 'superuser') return 'only a superuser can create superusers'
  if (attribute === 'login' || attribute === 'createRole') return null
  if (isModern) return self[attribute] ? null : `${who} does not have ${attribute} itself`
  return attribute === 'createDb' ? null : `only a superuser can change ${attribute}`
}

function asMember(role: Oid, member: Oid): Membership {
  return { role, member, grantor: member, inherit: true, set: true, admin: false }
}

function isOwn(edge: Membership, role: Oid, operator: Oid): boolean {
  return edge.role === role && edge.member === operator && edge.grantor === operator
}

function closure(start: Oid, edges: readonly Membership[], follows: (edge: Membership) => boolean): Set<Oid> {
  const reached = new Set([start])
  for (const oid of reached) {
    for (const edge of edges) if (edge.member === oid && follows(edge)) reached.add(edge.role)
  }
  return reached
}
