/** The identity of a thing in PostgreSQL's catalog. */
export type Oid = number

/** The grantee that stands for everybody. */
export const PUBLIC: Oid = 0

/** The superuser that `initdb` made. */
export const bootstrapSuperuser: Oid = 10
