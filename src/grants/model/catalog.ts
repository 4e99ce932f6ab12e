import type { Acl } from './acl.ts'
import type { Oid } from './oid.ts'
import type { MemberClass } from './privileges.ts'

export const roleAttributes = ['login', 'superuser', 'createRole', 'createDb', 'replication', 'bypassRls'] as const
export type RoleAttribute = (typeof roleAttributes)[number]

export interface CatalogRole extends Readonly<Record<RoleAttribute, boolean>> {
  readonly oid: Oid
  readonly name: string
  /** Whether it inherits by its memberships. Used before 16, where memberships have no option for it. */
  readonly inherit: boolean
}

/** A membership by one grantor. */
export interface Membership {
  /** The role that the member can use. */
  readonly role: Oid
  readonly member: Oid
  readonly grantor: Oid
  readonly inherit: boolean
  readonly set: boolean
  readonly admin: boolean
}

export const relationKinds = {
  r: 'table',
  p: 'partitioned table',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
  S: 'sequence',
} as const
export type RelationKind = (typeof relationKinds)[keyof typeof relationKinds]

export const routineKinds = { f: 'function', p: 'procedure', a: 'aggregate', w: 'window function' } as const
export type RoutineKind = (typeof routineKinds)[keyof typeof routineKinds]

export type ObjectKind = 'database' | 'schema' | RelationKind | RoutineKind

/** An object with an owner and an ACL. */
export interface CatalogObject {
  readonly oid: Oid
  readonly kind: ObjectKind
  /** Its schema; for a schema its own name, for a database empty. */
  readonly schema: string
  /** For a routine without its arguments. */
  readonly name: string
  /** The argument types of a routine as SQL, without parentheses; null for other objects. */
  readonly args: string | null
  readonly owner: Oid
  readonly acl: Acl
  /** The ACLs of columns, by name, for those that have one. */
  readonly columns: ReadonlyMap<string, Acl> | null
  /** The table that owns a sequence. Both have the same owner. */
  readonly ownedBy: Oid | null
}

/** An entry of `pg_default_acl`. */
export interface DefaultAcl {
  /** The role whose new objects it applies to. */
  readonly role: Oid
  /** Null: all schemas, and the entry replaces the built-in default. Otherwise it adds to the default. */
  readonly schema: string | null
  readonly objects: MemberClass
  readonly acl: Acl
}

export interface GovernedSchema {
  readonly self: CatalogObject
  /** Relations, sequences and routines, except those of extensions. */
  readonly objects: readonly CatalogObject[]
}

/** A view, a SECURITY DEFINER function, or a parent of governed tables, outside the governed schemas. */
export interface Door {
  readonly object: CatalogObject
  /**
   * The governed relations that a view reads, or that are children of a parent, and the role whose rights are used. Empty for
   * a function, where they are unknown.
   */
  readonly reads: readonly { readonly relation: Oid; readonly as: Oid }[]
}

/** One observation of the catalog of a database. */
export interface Catalog {
  /** `server_version_num`: 160014. */
  readonly serverVersion: number
  readonly database: CatalogObject
  /** The role of the connection. */
  readonly currentRole: Oid
  readonly roles: readonly CatalogRole[]
  readonly memberships: readonly Membership[]
  /** The requested schemas that exist, by name. */
  readonly schemas: ReadonlyMap<string, GovernedSchema>
  readonly defaultAcls: readonly DefaultAcl[]
  readonly doors: readonly Door[]
}
