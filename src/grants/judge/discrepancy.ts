import type { CatalogObject, RoleAttribute } from '../model/catalog.ts'
import type { Oid } from '../model/oid.ts'
import type { MemberClass, ObjectClass, Rights } from '../model/privileges.ts'
import type { Route, Unbounded } from './effective-roles.ts'

/** The origin of a right, at the end of its route. */
export type Source = 'grant' | 'owner' | 'predefined' | 'public'

/** A missing or unexpected right on objects that share it. */
export interface RightDiscrepancy {
  readonly type: 'right'
  readonly kind: 'missing' | 'unexpected'
  /** 0: PUBLIC. */
  readonly holder: Oid
  readonly rights: Rights
  readonly objects: ObjectClass
  /** The schema; empty for the database. */
  readonly schema: string
  /** A list of lists, so that the lists can be shared. */
  readonly targets: readonly (readonly CatalogObject[])[]
  /** The columns of the only target, for a right on columns. */
  readonly columns: readonly string[] | null
  readonly source: Source | null
  readonly route: Route | null
  /** For a door outside the governed schemas: what it gives access to. */
  readonly door: string | null
}

/** A default privilege on the new objects of one role. */
export interface DefaultDiscrepancy {
  readonly type: 'default'
  readonly kind: 'missing' | 'unexpected'
  readonly holder: Oid
  readonly rights: Rights
  readonly objects: MemberClass
  /** The role that creates the objects. */
  readonly role: Oid
  /** The governed schema in which it applies. */
  readonly schema: string
  /** Whether the entry has no schema, and so applies to all. */
  readonly everywhere: boolean
  readonly route: Route | null
}

/** One difference between a database and its policy. */
export type Discrepancy =
  | { readonly type: 'role-missing'; readonly name: string }
  | {
      readonly type: 'attribute'
      readonly role: Oid
      readonly attribute: RoleAttribute
      readonly expected: boolean
    }
  | { readonly type: 'member-missing'; readonly role: Oid; readonly member: string }
  | { readonly type: 'member-unexpected'; readonly role: Oid; readonly member: Oid; readonly route: Route }
  | { readonly type: 'member-admin'; readonly role: Oid; readonly member: Oid }
  | { readonly type: 'unbounded'; readonly role: Oid; readonly as: Unbounded['as']; readonly route: Route }
  | { readonly type: 'schema-missing'; readonly name: string; readonly owner: string | null }
  | {
      readonly type: 'owner'
      readonly schema: string
      readonly objects: ObjectClass
      readonly expected: Oid
      readonly actual: Oid
      readonly targets: readonly CatalogObject[]
    }
  | RightDiscrepancy
  | DefaultDiscrepancy
