import type { CatalogObject, CatalogRole, Membership, RoleAttribute } from '../model/catalog.ts'
import { showIdentifier } from '../model/identifiers.ts'
import { bootstrapSuperuser, type Oid, PUBLIC } from '../model/oid.ts'
import { type Rights, rightOf } from '../model/privileges.ts'
import { reachRoles } from '../model/reach-roles.ts'
import type { Draft } from './draft.ts'

/** The role that runs a plan: a superuser, or the admin of a managed server, which joins the roles that it acts as. */
export interface Operator {
  readonly isSuperuser: boolean
  /**
   * The reason why the operator cannot run statements that need the rights of each of these roles; null if it can. Adds the
   * temporary memberships that it needs for them.
   */
  actAs(roles: readonly Oid[]): string | null
  /** These return the reason why something is not possible, or null. */
  alterRole(role: CatalogRole, attribute: RoleAttribute): string | null
  createRole(attributes: readonly RoleAttribute[]): string | null
  manageMembers(role: Oid): string | null
  createInDatabase(): string | null
  moveDatabase(): string | null
  /** Referring to the objects of a schema. */
  useSchema(name: string): string | null
  /** Making a role the owner of an object in a schema, for which it needs CREATE there unless the operator is a superuser. */
  transferTo(role: Oid, schema: string): string | null
  /** The memberships to end after the plan. */
  readonly temporaryMemberships: readonly TemporaryMembership[]
  /** The membership that the operator gets in a role that it creates (16 and later). */
  membershipOfCreator(role: Oid): Membership | null
}

export interface TemporaryMembership {
  readonly role: Oid
  /** The membership that the operator had granted to itself before, or null. */
  readonly before: Membership | null
}

interface OperatorInput {
  /** The state after the statements so far. */
  readonly draft: Draft
  readonly role: Oid
  /** 16 and later. */
  readonly isModern: boolean
  /** Called before the first statement that needs it. */
  readonly onTemporaryMembership: (membership: TemporaryMembership) => void
}

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
    transferTo: can,
    temporaryMemberships: [],
    membershipOfCreator: () => null,
  }
}

/** What the operator can do by its memberships, including the temporary ones that it adds. */
function createMembershipRules(input: OperatorInput, nameOf: NameOf) {
  const { draft, isModern } = input
  const self = draft.role(input.role)
  const who = self ? nameOf(self.oid) : 'the operator'
  const temporary: TemporaryMembership[] = []
  const memberships = () => [...draft.memberships, ...temporary.map(({ role }) => asMember(role, input.role))]
  const reach = (start: Oid, isFollowed: (edge: Membership) => boolean) => {
    const edges = memberships()
    return reachRoles(start, () => edges, isFollowed)
  }
  const inherited = () => reach(input.role, edge => edge.inherit)
  const administers = (role: Oid) => {
    const through = inherited()
    return memberships().some(edge => edge.role === role && edge.admin && through.has(edge.member))
  }
  const manageMembers = (role: Oid): string | null => {
    if (draft.role(role)?.superuser) return `only a superuser can manage the members of superuser ${nameOf(role)}`
    if (administers(role) || (!isModern && self?.createRole)) return null
    return isModern ? `${who} has no ADMIN option on ${nameOf(role)}` : `${who} has no CREATEROLE`
  }
  const join = (role: Oid): string | null => {
    const problem = manageMembers(role)
    if (problem) return `it needs the privileges of ${nameOf(role)}, but ${problem}`
    if (!isModern && !self?.inherit) return `${who} is NOINHERIT and cannot act as ${nameOf(role)}`
    if (reach(role, () => true).has(input.role)) return `${nameOf(role)} is a member of ${who}`
    const isOwn = (edge: Membership) => edge.role === role && edge.member === input.role && edge.grantor === input.role
    const membership = { role, before: draft.memberships.find(isOwn) ?? null }
    temporary.push(membership)
    input.onTemporaryMembership(membership)
    return null
  }
  const actAs = (roles: readonly Oid[]): string | null => {
    for (const role of roles) {
      const can = inherited().has(role) && reach(input.role, edge => edge.set).has(role)
      const problem = can ? null : join(role)
      if (problem) return problem
    }
    return null
  }
  return { temporaryMemberships: temporary, inherited, administers, manageMembers, actAs }
}

export function createOperator(input: OperatorInput, nameOf: NameOf): Operator {
  const { draft, isModern } = input
  const self = draft.role(input.role)
  if (self?.superuser) return superuserOperator()
  const who = self ? nameOf(self.oid) : 'the operator'
  const { inherited, administers, actAs, ...rules } = createMembershipRules(input, nameOf)
  const holds = ({ acl }: Pick<CatalogObject, 'acl'>, right: Rights, held: ReadonlySet<Oid> | null = inherited()) => {
    if (held === null) return true
    return acl.some(({ grantee, rights }) => (grantee === PUBLIC || held.has(grantee)) && (rights & right) !== 0)
  }
  return {
    isSuperuser: false,
    temporaryMemberships: rules.temporaryMemberships,
    manageMembers: rules.manageMembers,
    actAs,
    useSchema(name) {
      const schema = draft.schema(name)
      return !schema || holds(schema, rightOf('USAGE')) ? null : actAs([schema.owner])
    },
    transferTo(role, name) {
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
    membershipOfCreator(role) {
      if (!isModern) return null
      return { role, member: input.role, grantor: bootstrapSuperuser, inherit: false, set: false, admin: true }
    },
  }
}

/** From 16 on, one can only give attributes that one has. Before, only a superuser can give REPLICATION and BYPASSRLS. */
function lacksAttribute(self: CatalogRole, attribute: RoleAttribute, isModern: boolean, who: string): string | null {
  if (attribute === 'superuser') return 'only a superuser can create superusers'
  if (attribute === 'login' || attribute === 'createRole') return null
  if (isModern) return self[attribute] ? null : `${who} does not have ${attribute} itself`
  return attribute === 'createDb' ? null : `only a superuser can change ${attribute}`
}

function asMember(role: Oid, member: Oid): Membership {
  return { role, member, grantor: member, inherit: true, set: true, admin: false }
}
