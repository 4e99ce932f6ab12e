/** An object identifier of PostgreSQL. */
export type Oid = number

/** The grantee PUBLIC in an ACL. */
export const PUBLIC: Oid = 0

/** The superuser created by `initdb`. */
export const bootstrapSuperuser: Oid = 10
