import type { FromSchema, JSONSchema } from 'json-schema-to-ts'

/** The privileges that PostgreSQL knows for each kind of object that a policy governs. */
export const privileges = {
  database: ['CREATE', 'CONNECT', 'TEMPORARY'],
  schema: ['USAGE', 'CREATE'],
  tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'],
  sequences: ['USAGE', 'SELECT', 'UPDATE'],
  functions: ['EXECUTE'],
} as const

const flag = (description: string) => ({ type: 'boolean', default: false, description }) as const

const roleSchema = {
  type: 'object',
  description:
    'One role: its attributes, its members and its rights on the database. What is not said, it must not have.',
  additionalProperties: false,
  properties: {
    login: flag('Whether the role may log in.'),
    superuser: flag('Whether the role is a superuser.'),
    createRole: flag('Whether the role may create roles.'),
    createDb: flag('Whether the role may create databases.'),
    replication: flag('Whether the role may start replication.'),
    bypassRls: flag('Whether row-level security is not applied to the role.'),
    members: {
      type: 'array',
      default: [],
      description: 'The whole list of the roles that may use this one.',
      items: { type: 'string', minLength: 1, title: 'a role' },
    },
    database: {
      type: 'array',
      default: [],
      description: 'Its rights on the connected database, beyond those of PUBLIC.',
      items: { enum: privileges.database },
    },
  },
} as const satisfies JSONSchema

/** Privileges of every object of one kind, or by a pattern of their names. */
const byObject = <const Words extends readonly string[]>(kind: string, words: Words) =>
  ({
    type: ['array', 'object'],
    title: 'a list of privileges, or a map from names to such lists',
    description: `Privileges on ${kind}: a list for all of them, or a map from a name (\`*\` stands for anything) to a list.`,
    items: { enum: words },
    additionalProperties: { type: 'array', items: { enum: words } },
  }) as const

const onEvery = <const Words extends readonly string[]>(kind: string, words: Words) =>
  ({ type: 'array', description: `Privileges on ${kind}.`, items: { enum: words } }) as const

const grantsSchema = {
  type: 'object',
  description: 'What one role (or `PUBLIC`) may do in the schema.',
  additionalProperties: false,
  properties: {
    schema: onEvery('the schema itself', privileges.schema),
    tables: byObject('tables, partitions, views, materialized and foreign tables', privileges.tables),
    sequences: byObject('sequences', privileges.sequences),
    functions: byObject('functions, procedures and aggregates', privileges.functions),
  },
} as const satisfies JSONSchema

const defaultsSchema = {
  type: 'object',
  description: 'What one role (or `PUBLIC`) gets on objects that the owner is yet to create.',
  additionalProperties: false,
  properties: {
    tables: onEvery('tables to come', privileges.tables),
    sequences: onEvery('sequences to come', privileges.sequences),
    functions: onEvery('functions to come', privileges.functions),
  },
} as const satisfies JSONSchema

const governedSchema = {
  type: 'object',
  description: 'One schema of the database, and exactly who may do what in it.',
  additionalProperties: false,
  properties: {
    owner: {
      type: 'string',
      title: 'a role',
      description: 'The owner of the schema and of every object in it. Left out: ownership is not judged.',
    },
    relations: {
      type: 'array',
      default: [],
      description: 'The tables, views and sequences that the release needs (check `schema`).',
      items: { type: 'string', minLength: 1, title: 'a relation' },
    },
    grants: {
      type: 'object',
      default: {},
      description: 'By role: its privileges on what is there.',
      additionalProperties: grantsSchema,
    },
    defaults: {
      type: 'object',
      default: {},
      description: 'By role: its default privileges (`ALTER DEFAULT PRIVILEGES FOR ROLE <owner> IN SCHEMA ...`).',
      additionalProperties: defaultsSchema,
    },
  },
} as const satisfies JSONSchema

const ledgerSchema = {
  type: 'object',
  description: 'The table in which migrations are recorded. The monitor needs SELECT on it, and on nothing else.',
  additionalProperties: false,
  required: ['table', 'versionColumn', 'expected'],
  properties: {
    table: {
      type: 'string',
      title: 'a table with its schema',
      pattern: '^[^.]+[.].+$',
      examples: ['runtime.schema_migrations'],
      description: 'The table: its schema, a dot, its name, as they are, without quotes.',
    },
    versionColumn: {
      type: 'string',
      title: 'a column',
      minLength: 1,
      examples: ['version'],
      description: 'The column that names each migration.',
    },
    expected: {
      type: 'array',
      description: 'The versions that must be recorded, and no others.',
      items: { type: 'string', minLength: 1, title: 'a version' },
    },
  },
} as const satisfies JSONSchema

/** The `database` part of a stack as the file says it. */
export const databaseSchema = {
  type: 'object',
  description: 'The database behind the service. Left out: no database check.',
  additionalProperties: false,
  required: ['url'],
  properties: {
    url: {
      type: 'string',
      title: 'a PostgreSQL URL, its password percent-encoded',
      writeOnly: true,
      examples: ['postgres://user:password@host:5432/name'],
      description: 'Where the database is; the password in it is a secret. Empty: as if the part were left out.',
    },
    roles: {
      type: 'object',
      default: {},
      description: 'By name: the roles that must exist, with exactly these attributes and members.',
      additionalProperties: roleSchema,
    },
    trustedRoles: {
      type: 'array',
      default: [],
      description: 'Superusers and cloud admin roles that may hold anything.',
      items: { type: 'string', minLength: 1, title: 'a role' },
    },
    ledger: ledgerSchema,
    schemas: {
      type: 'object',
      default: {},
      description: 'By name: the schemas that the policy governs.',
      additionalProperties: governedSchema,
    },
  },
} as const satisfies JSONSchema

export type LedgerFile = FromSchema<typeof ledgerSchema>
export type DatabaseFile = FromSchema<typeof databaseSchema>
