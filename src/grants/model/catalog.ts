import type { Acl } from './acl.ts'
import type { Oid } from './oid.ts'

export const roleAttributes = ['login', 'superuser', 'createRole', 'createDb', 'replication', 'bypassRls'] as const
export type RoleAttribute = (typeof roleAttributes)[number]

export interface CatalogRole extends Readonly<Record<RoleAttribute, boolean>> {
  readonly oid: Oid
  readonly name: string
  /** Whether it inherits from what it is a member of, where the membership does not say (before 16). */
  readonly inherit: boolean
}

/** That one role is a member of another, by one grantor. */
export interface Membership {
  /** The role that is used. */
  readonly role: Oid
  /** Who may use it. */
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

/** Anything that has an owner and an ACL. */
export interface CatalogObject {
  readonly oid: Oid
  readonly kind: ObjectKind
  /** The schema that holds it; its own name for a schema, empty for a database. */
  readonly schema: string
  /** For a routine without its arguments. */
  readonly name: string
  /** The types of a routine's arguments as SQL, without parentheses; null for what is no routine. */
  readonly args: string | null
  readonly owner: Oid
  readonly acl: Acl
  /** The ACLs of those columns that have one, by the column's name. */
  readonly columns: ReadonlyMap<string, Acl> | null
  /** The table that a sequence belongs to, and whose owner it follows. */
  readonly ownedBy: Oid | null
}

/** An entry of `pg_default_acl`. */
export interface DefaultAcl {
  /** Whose new objects it is for. */
  readonly role: Oid
  /** Null: every schema; then it replaces the built-in default, else it adds to it. */
  readonly schema: string | null
  readonly objects: 'tables' | 'sequences' | 'functions'
  readonly acl: Acl
}

export interface GovernedSchema {
  readonly self: CatalogObject
  /** Relations, sequences and routines, those of extensions left out. */
  readonly objects: readonly CatalogObject[]
}

/** A view, a SECURITY DEFINER function, or a parent of governed tables, outside the governed schemas. */
export interface Door {
  readonly object: CatalogObject
  /**
   * The governed relations that a view reads, or that are below a parent, and with whose rights they are read; empty for a
   * function, which does not say.
   */
  readonly reads: readonly { readonly relation: Oid; readonly as: Oid }[]
}

/** What one look at the catalog of one database saw. */
export interface Catalog {
  /** `server_version_num`: 160014. */
  readonly serverVersion: number
  readonly database: CatalogObject
  /** Who looked. */
  readonly currentRole: Oid
  readonly roles: readonly CatalogRole[]
  readonly memberships: readonly Membership[]
  /** By name: of the schemas that were asked for those that there are. */
  readonly schemas: ReadonlyMap<string, GovernedSchema>
  readonly defaultAcls: readonly DefaultAcl[]
  readonly doors: readonly Door[]
}
