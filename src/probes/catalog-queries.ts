/**
 * All queries on the catalog. They read only `pg_catalog` and need only the CONNECT privilege. Names are compared as text,
 * because a cast to `name` truncates them silently. Objects of extensions are omitted.
 */

const notOfExtension = (object: string, catalog: string) => `NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend e
    WHERE e.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND e.objid = ${object} AND e.deptype = 'e')`

export const rolesQuery = `
  SELECT oid, rolname, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolinherit
  FROM pg_catalog.pg_roles ORDER BY oid`
export type RoleRow = [number, string, boolean, boolean, boolean, boolean, boolean, boolean, boolean]

/** Before version 16 the attribute of the member decides whether it inherits, and every member may SET ROLE. */
export const membershipsQuery = (serverVersion: number) =>
  serverVersion >= 160000
    ? `SELECT roleid, member, grantor, inherit_option, set_option, admin_option FROM pg_catalog.pg_auth_members ORDER BY 1, 2, 3`
    : `SELECT m.roleid, m.member, m.grantor, r.rolinherit, true, m.admin_option
       FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member ORDER BY 1, 2, 3`
export type MembershipRow = [number, number, number, boolean, boolean, boolean]

/** $1: names of schemas. */
export const schemasQuery = `
  SELECT oid, nspname, nspowner, nspacl::text FROM pg_catalog.pg_namespace WHERE nspname::text = ANY ($1::text[])`
export type SchemaRow = [number, string, number, string | null]

/** $1: OIDs of schemas. */
export const relationsQuery = `
  SELECT c.oid, c.relnamespace, c.relname, c.relkind, c.relowner, c.relacl::text, s.refobjid
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_depend s
    ON c.relkind = 'S' AND s.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND s.objid = c.oid AND s.objsubid = 0
    AND s.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND s.refobjsubid > 0 AND s.deptype IN ('a', 'i')
  WHERE c.relnamespace = ANY ($1::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND ${notOfExtension('c.oid', 'pg_class')}
  ORDER BY c.relname`
export type RelationRow = [number, number, string, string, number, string | null, number | null]

/** $1: OIDs of schemas, $2: OIDs of relations. */
export const columnsQuery = `
  SELECT a.attrelid, a.attname, a.attacl::text
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND (c.relnamespace = ANY ($1::oid[]) OR c.oid = ANY ($2::oid[]))
  ORDER BY a.attrelid, a.attnum`
export type ColumnRow = [number, string, string]

/** Procedures can differ in the modes of their arguments only. */
const routineColumns = `p.oid, n.nspname, p.proname, p.prokind, p.proowner, p.proacl::text,
    CASE p.prokind WHEN 'p' THEN pg_catalog.pg_get_function_identity_arguments(p.oid)
                   ELSE pg_catalog.oidvectortypes(p.proargtypes) END`
export type RoutineRow = [number, string, string, string, number, string | null, string]

/** The constructors of a range type belong to the bootstrap superuser. Types are not governed. */
const notOfType = `NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i'
      AND d.refclassid = 'pg_catalog.pg_type'::regclass)`

/** $1: OIDs of schemas. */
export const routinesQuery = `
  SELECT ${routineColumns}
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE p.pronamespace = ANY ($1::oid[]) AND ${notOfExtension('p.oid', 'pg_proc')} AND ${notOfType}
  ORDER BY p.proname, p.oid`

/** $1: OIDs of schemas. Includes entries without a schema. */
export const defaultAclsQuery = `
  SELECT defaclrole, defaclnamespace, defaclobjtype, defaclacl::text FROM pg_catalog.pg_default_acl
  WHERE defaclobjtype IN ('r', 'S', 'f') AND (defaclnamespace = 0 OR defaclnamespace = ANY ($1::oid[]))
  ORDER BY defaclrole, defaclnamespace, defaclobjtype`
export type DefaultAclRow = [number, number, string, string]

const elsewhere = (schema: string) =>
  `NOT ${schema}.oid = ANY ($1::oid[]) AND ${schema}.nspname !~ '^pg_' AND ${schema}.nspname <> 'information_schema'`

/** $1: OIDs of the governed schemas, $2: OIDs of the roles whose functions count. */
export const definerFunctionsQuery = `
  SELECT ${routineColumns}
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE p.prosecdef AND p.proowner = ANY ($2::oid[]) AND ${elsewhere('n')} AND ${notOfExtension('p.oid', 'pg_proc')}
  ORDER BY n.nspname, p.proname, p.oid`

/** A view with `security_invoker` uses the privileges of its reader, so it is not a door. */
const lends = (relation: string) => `${relation}.relkind IN ('v', 'm') AND NOT EXISTS (
    SELECT FROM pg_catalog.unnest(${relation}.reloptions) o WHERE o ~* '^security_invoker=(t|y|on|1)')`

/**
 * $1: OIDs of the governed schemas, $2: OIDs of the roles whose views count. One row for each governed relation that a
 * view reads, directly or through other views, with the owner of the view that reads it. A relation that is read through
 * its parent table is read with the privileges of its own owner.
 */
export const viewDoorsQuery = `
  WITH RECURSIVE outside AS (
    SELECT c.oid, c.relowner, n.nspname, c.relname, c.relkind, c.relacl, c.reloptions
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE ${lends('c')} AND ${elsewhere('n')}
  ), reading AS (
    SELECT w.ev_class AS view, d.refobjid AS relation
    FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'n' AND d.refobjid <> w.ev_class
    WHERE w.ev_class IN (SELECT oid FROM outside)
  ), reached (door, view) AS (
    SELECT o.oid, o.oid FROM outside o WHERE o.relowner = ANY ($2::oid[]) AND ${notOfExtension('o.oid', 'pg_class')}
    UNION
    SELECT r.door, g.relation FROM reached r JOIN reading g ON g.view = r.view
    WHERE g.relation IN (SELECT oid FROM outside)
  ), below (parent, relation) AS (
    SELECT relation, relation FROM reading
    UNION
    SELECT b.parent, i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.relation
  )
  SELECT DISTINCT o.oid, o.nspname, o.relname, o.relkind, o.relowner, o.relacl::text, t.oid,
    CASE WHEN p.relnamespace = ANY ($1::oid[]) THEN v.relowner ELSE t.relowner END
  FROM reached r JOIN outside o ON o.oid = r.door JOIN outside v ON v.oid = r.view JOIN reading g ON g.view = r.view
  JOIN pg_catalog.pg_class p ON p.oid = g.relation
  JOIN below b ON b.parent = p.oid JOIN pg_catalog.pg_class t ON t.oid = b.relation
  WHERE t.relnamespace = ANY ($1::oid[]) AND (t.oid = p.oid OR NOT p.relnamespace = ANY ($1::oid[]))
  ORDER BY o.nspname, o.relname, t.oid`
export type ViewDoorRow = [number, string, string, string, number, string | null, number, number]

/** All schemas but those of the system and of extensions. */
export const schemaNamesQuery = `
  SELECT n.nspname FROM pg_catalog.pg_namespace n
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND ${notOfExtension('n.oid', 'pg_namespace')}
  ORDER BY n.nspname`
export type SchemaNameRow = [string]

/**
 * $1: OIDs of the governed schemas, $2: OIDs of the roles whose tables count. Access to a parent table needs no privilege
 * on its partitions or inheriting tables. One row, as in `viewDoorsQuery`, for each governed relation whose parent is in
 * another schema; it is read with the privileges of its own owner.
 */
export const parentDoorsQuery = `
  WITH RECURSIVE above (parent, relation) AS (
    SELECT i.inhparent, i.inhrelid FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class t ON t.oid = i.inhrelid
    WHERE t.relnamespace = ANY ($1::oid[]) AND t.relkind IN ('r', 'p', 'f')
    UNION
    SELECT i.inhparent, a.relation FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.parent
  )
  SELECT o.oid, n.nspname, o.relname, o.relkind, o.relowner, o.relacl::text, a.relation, t.relowner
  FROM above a JOIN pg_catalog.pg_class o ON o.oid = a.parent JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
  JOIN pg_catalog.pg_class t ON t.oid = a.relation
  WHERE o.relowner = ANY ($2::oid[]) AND ${elsewhere('n')} AND ${notOfExtension('o.oid', 'pg_class')}
  ORDER BY n.nspname, o.relname, t.relname`

/** $1: schema, $2: name of a relation. Returns the names of its columns; no row if the relation does not exist. */
export const ledgerColumnsQuery = `
  SELECT ARRAY(
    SELECT a.attname::text FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname::text = $1 AND c.relname::text = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`
export type LedgerColumnsRow = [string[]]
