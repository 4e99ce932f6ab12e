import type { GrantsPolicy } from '../src/grants/model/policy.ts'

/** The size of the published results. */
export const size = { relations: 10_000, roles: 200, membersOfMembers: 50, schemas: 20 } as const

const perSchema = size.relations / size.schemas
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)
const role = (index: number) => `role_${String(index).padStart(3, '0')}`
const schema = (index: number) => `schema_${String(index).padStart(2, '0')}`
const owner = (index: number) => role(index)
const writer = (index: number) => role(size.schemas + index)
const reader = (index: number) => role(2 * size.schemas + index)

/** Roles 60 to 149 are members of the writers and readers, and the last 50 are members of those. */
const memberOf = (index: number): string | null => {
  const first = 3 * size.schemas
  if (index < first) return null
  const nested = size.roles - size.membersOfMembers
  return index < nested
    ? role(size.schemas + ((index * 7) % (2 * size.schemas)))
    : role(first + ((index * 3) % (nested - first)))
}

/** A policy with all roles and schemas. */
export const policy: GrantsPolicy = {
  trustedRoles: ['postgres'],
  roles: Object.fromEntries(
    numbers(size.roles).map(index => [
      role(index),
      {
        members: numbers(size.roles)
          .filter(member => memberOf(member) === role(index))
          .map(role),
      },
    ]),
  ),
  schemas: Object.fromEntries(
    numbers(size.schemas).map(index => [
      schema(index),
      {
        owner: owner(index),
        grants: {
          [writer(index)]: {
            schema: ['USAGE'],
            tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
            sequences: ['USAGE', 'SELECT'],
          },
          [reader(index)]: { schema: ['USAGE'], tables: { 'sync_*': ['SELECT'], checkpoints: ['SELECT'] } },
        },
        defaults: { [writer(index)]: { tables: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] } },
      },
    ]),
  ),
}

/** Creates a database that matches the policy, one statement at a time because each locks what it creates. */
export function worldSql(): string[] {
  return [
    'CREATE ROLE monitor LOGIN',
    ...numbers(size.roles).map(index => `CREATE ROLE ${role(index)}`),
    ...numbers(size.roles).flatMap(index =>
      memberOf(index) === null ? [] : [`GRANT ${memberOf(index)} TO ${role(index)}`],
    ),
    ...numbers(size.schemas).map(schemaSql),
  ]
}

/** Nine of ten relations are tables, the others sequences; two of three tables match the readers' pattern. */
function schemaSql(index: number): string {
  const name = schema(index)
  return `
    CREATE SCHEMA ${name} AUTHORIZATION ${owner(index)};
    ALTER DEFAULT PRIVILEGES FOR ROLE ${owner(index)} IN SCHEMA ${name}
      GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${writer(index)};
    SET ROLE ${owner(index)};
    DO $$ BEGIN
      FOR i IN 1..${perSchema} LOOP
        IF i % 10 = 0 THEN EXECUTE format('CREATE SEQUENCE ${name}.counter_%s', i);
        ELSE EXECUTE format('CREATE TABLE ${name}.%s (id int)', CASE WHEN i % 3 = 0 THEN 'plain_' ELSE 'sync_' END || i);
        END IF;
      END LOOP;
    END $$;
    GRANT USAGE ON SCHEMA ${name} TO ${writer(index)}, ${reader(index)};
    GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ${name} TO ${writer(index)};
    DO $$ DECLARE t regclass; BEGIN
      FOR t IN SELECT oid FROM pg_class WHERE relnamespace = '${name}'::regnamespace AND relname LIKE 'sync%' LOOP
        EXECUTE format('GRANT SELECT ON %s TO ${reader(index)}', t);
      END LOOP;
    END $$;
    RESET ROLE`
}

/** Grants different privileges on each table to three roles, so that almost all ACLs differ. */
export function driftSql(): string[] {
  return numbers(size.schemas).map(
    index => `
    DO $$ DECLARE t record; words text[] := ARRAY['SELECT','INSERT','UPDATE','DELETE','TRUNCATE','REFERENCES','TRIGGER']; BEGIN
      FOR t IN SELECT oid::regclass AS name, row_number() OVER (ORDER BY oid) + ${index * 7919} AS i
               FROM pg_class WHERE relnamespace = '${schema(index)}'::regnamespace AND relkind = 'r' LOOP
        FOR j IN 1..3 LOOP
          EXECUTE format('GRANT %s ON %s TO role_%s', words[1 + (t.i * j * 31) % 7], t.name,
            lpad(((t.i * (j * 13 + 1) + j * 97) % ${size.roles})::text, 3, '0'));
        END LOOP;
      END LOOP;
    END $$`,
  )
}
