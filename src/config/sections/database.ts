import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { closed, list } from './values.ts'

/** The privileges of PostgreSQL for each kind of object. */
export const privileges = {
  database: ['CREATE', 'CONNECT', 'TEMPORARY'],
  schema: ['USAGE', 'CREATE'],
  tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'],
  sequences: ['USAGE', 'SELECT', 'UPDATE'],
  functions: ['EXECUTE'],
} as const

const flag = (description: string) => ({ type: 'boolean', default: false, description }) as const

const text = (title: string) => ({ type: 'string', minLength: 1, title }) as const

/** The schema of a map from names to values of one form. */
const byName = <const Value>(description: string, value: Value) =>
  ({ type: 'object', default: {}, description, additionalProperties: value }) as const

const roleSchema = {
  ...closed,
  description:
    'One database role: its attributes, its members and its privileges on the database. The role must have no others.',
  properties: {
    login: flag('Whether the role may log in.'),
    superuser: flag('Whether the role is a superuser.'),
    createRole: flag('Whether the role may create roles.'),
    createDb: flag('Whether the role may create databases.'),
    replication: flag('Whether the role may start streaming replication.'),
    bypassRls: flag('Whether the role bypasses row-level security.'),
    members: list('All members of this role. Other members are reported as drift.', text('a role')),
    database: list('Its privileges on the connected database, in addition to those of PUBLIC.', {
      enum: privileges.database,
    }),
  },
} as const satisfies JSONSchema

/** Privileges on all objects of one kind, or by name pattern. */
const byObject = <const Words extends readonly string[]>(kind: string, words: Words) =>
  ({
    type: ['array', 'object'],
    title: 'a list of privileges, or a map from names to lists of privileges',
    description: `Privileges on ${kind}: a list for all of them, or a map from name patterns (\`*\` matches any text) to lists.`,
    items: { enum: words },
    additionalProperties: { type: 'array', items: { enum: words } },
  }) as const

const onEvery = <const Words extends readonly string[]>(kind: string, words: Words) =>
  ({ type: 'array', description: `Privileges on ${kind}.`, items: { enum: words } }) as const

const grantsSchema = {
  ...closed,
  description: 'The privileges of one role (or `PUBLIC`) in the schema.',
  properties: {
    schema: onEvery('the schema itself', privileges.schema),
    tables: byObject('tables, partitions, views, materialized and foreign tables', privileges.tables),
    sequences: byObject('sequences', privileges.sequences),
    functions: byObject('functions, procedures and aggregates', privileges.functions),
  },
} as const satisfies JSONSchema

const defaultsSchema = {
  ...closed,
  description: 'The privileges of one role (or `PUBLIC`) on objects that the owner will create.',
  properties: {
    tables: onEvery('future tables', privileges.tables),
    sequences: onEvery('future sequences', privileges.sequences),
    functions: onEvery('future functions', privileges.functions),
  },
} as const satisfies JSONSchema

const governedSchema = {
  ...closed,
  description: 'One schema of the database and its complete list of privileges.',
  properties: {
    owner: {
      type: 'string',
      title: 'a role',
      description: 'The owner of the schema and of every object in it. If absent, ownership is not checked.',
    },
    relations: list('The tables, views and sequences that must exist (check `schema`).', text('a relation')),
    grants: byName('Privileges on existing objects, by role.', grantsSchema),
    defaults: byName(
      'Default privileges (`ALTER DEFAULT PRIVILEGES FOR ROLE <owner> IN SCHEMA ...`), by role.',
      defaultsSchema,
    ),
  },
} as const satisfies JSONSchema

const ledgerSchema = {
  ...closed,
  description: 'The table that records migrations. Driftwatch needs SELECT on this table only.',
  required: ['table', 'versionColumn', 'expected'],
  properties: {
    table: {
      type: 'string',
      title: 'a table with its schema',
      pattern: '^[^.]+[.].+$',
      examples: ['runtime.schema_migrations'],
      description: 'The table as `schema.table`, without quotes.',
    },
    versionColumn: {
      type: 'string',
      title: 'a column',
      minLength: 1,
      examples: ['version'],
      description: 'The column that holds the version of each migration.',
    },
    expected: {
      type: 'array',
      description: 'The versions that must be recorded. Other versions are reported as drift.',
      items: text('a version'),
    },
  },
} as const satisfies JSONSchema

/** The `database` key of a stack. */
export const databaseSchema = {
  ...closed,
  description: 'The PostgreSQL database of the service. If absent, the database checks do not run.',
  required: ['url'],
  properties: {
    url: {
      type: 'string',
      title: 'a PostgreSQL URL with a percent-encoded password',
      writeOnly: true,
      examples: ['postgres://user:password@host:5432/name'],
      description: 'The URL of the database. Its password is a secret. If empty, the whole `database` key is ignored.',
    },
    roles: byName('The roles that must exist, by name, with exactly these attributes and members.', roleSchema),
    trustedRoles: list('Superusers and cloud admin roles that may hold any privilege.', text('a role')),
    ledger: ledgerSchema,
    schemas: byName('The schemas to check, by name.', governedSchema),
  },
} as const satisfies JSONSchema

export type LedgerFile = FromSchema<typeof ledgerSchema>
export type DatabaseFile = FromSchema<typeof databaseSchema>
