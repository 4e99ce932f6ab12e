import type { CatalogObject, RoleAttribute } from '../model/catalog.ts'
import type { Oid } from '../model/oid.ts'
import type { ObjectClass, Rights } from '../model/privileges.ts'
import type { Route, Unbounded } from './effective-roles.ts'

/** Where a right comes from, at the end of its route. */
export type Source = 'grant' | 'owner' | 'predefined' | 'public'

/** A right that is missing, or that the policy does not give, on objects that are alike in it. */
export interface RightDiscrepancy {
  readonly type: 'right'
  readonly kind: 'missing' | 'unexpected'
  /** 0: PUBLIC. */
  readonly holder: Oid
  readonly rights: Rights
  readonly objects: ObjectClass
  /** The schema; empty for the database. */
  readonly schema: string
  /** Lists of objects rather than one list, so that they can be shared. */
  readonly targets: readonly (readonly CatalogObject[])[]
  /** The columns of the one target, where the right is on columns. */
  readonly columns: readonly string[] | null
  readonly source: Source | null
  readonly route: Route | null
  /** Of a door beside the governed schemas: what it leads to. */
  readonly door: string | null
}

/** A default privilege of one role's new objects. */
export interface DefaultDiscrepancy {
  readonly type: 'default'
  readonly kind: 'missing' | 'unexpected'
  readonly holder: Oid
  readonly rights: Rights
  readonly objects: 'tables' | 'sequences' | 'functions'
  /** Whose objects. */
  readonly role: Oid
  /** The governed schema that it counts in. */
  readonly schema: string
  /** Whether the entry is the one without a schema. */
  readonly everywhere: boolean
  readonly route: Route | null
}

/** One way in which a database differs from its policy. */
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
