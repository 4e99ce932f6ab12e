import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { digestOf } from './images.ts'
import type { PrepareOptions } from './postgres/cluster-template.ts'
import { superuser } from './postgres/cluster-template.ts'
import { migrate } from './postgres/migrations.ts'
import { startServer } from './postgres/server.ts'
import { runSql } from './postgres/sql.ts'

export interface PostgresOptions extends PrepareOptions {
  /** The superuser URL of an existing server; if absent, one is started. */
  readonly server?: string | undefined
}

/** The database of the example stack, on a real PostgreSQL server. */
export interface Postgres {
  /** Of Driftwatch, which has only the CONNECT privilege. */
  readonly url: string
  /** Of the operator, a superuser. */
  readonly adminUrl: string
  readonly superuser: string
  /**
   * Recreates roles and database, then changes them: runs statements as the superuser, or makes the database reject
   * connections.
   */
  reset(change?: DatabaseChange): Promise<void>
  /** Applies the migrations that an image carries. */
  migrate(digest: string): Promise<void>
  /** Stops the server, or removes roles and database from an existing server. */
  close(): Promise<void>
}

export interface DatabaseChange {
  readonly sql?: string | null
  readonly down?: boolean
}

const database = 'driftwatch_sandbox'
const monitor = 'driftwatch'
const roles = [
  'oa_runtime_owner',
  'oa_runtime_rw',
  'oa_spacetime_ro',
  'oa_control_rw',
  'reporting',
  'contractors',
  monitor,
]
/** The comment of roles that the sandbox may drop. */
const mark = 'made by the sandbox of Driftwatch'

/** Starts a server, or uses an existing one, and creates the database. */
export async function startPostgres({ server, ...options }: PostgresOptions = {}): Promise<Postgres> {
  const own = server ? null : await startServer(options)
  const root = server ?? own?.url(superuser, 'postgres', own.password) ?? ''
  const admin = new URL(root)
  const password = randomBytes(12).toString('hex')
  const urls = {
    url: withParts(admin, { username: monitor, password, pathname: database }),
    adminUrl: withParts(admin, { pathname: database }),
  }
  const postgres: Postgres = {
    ...urls,
    superuser: decodeURIComponent(admin.username) || superuser,
    async reset({ sql = null, down = false } = {}) {
      await clearAway(root)
      await make(root, urls.adminUrl, password)
      if (sql !== null) await runSql(urls.adminUrl, sql)
      if (down) await shut(root)
    },
    migrate: digest => migrate(urls.adminUrl, digest),
    async close() {
      if (own) await own.stop()
      else await clearAway(root)
    },
  }
  try {
    await postgres.reset()
    return postgres
  } catch (error) {
    await own?.stop()
    throw error
  }
}

function withParts(url: URL, parts: { username?: string; password?: string; pathname: string }): string {
  return Object.assign(new URL(url), parts).href
}

async function make(root: string, adminUrl: string, password: string): Promise<void> {
  const comments = roles.map(role => `COMMENT ON ROLE ${role} IS '${mark}'`)
  const login = `ALTER ROLE ${monitor} PASSWORD '${password}'`
  await runSql(root, [readSql('roles'), login, ...comments].join(';\n'))
  await runSql(root, `CREATE DATABASE ${database} TEMPLATE template0`)
  await runSql(adminUrl, readSql('schemas'))
  await migrate(adminUrl, digestOf('image-c'))
}

/** Throws if the sandbox did not create one of the roles. Drops what they own and granted, too. */
async function clearAway(root: string): Promise<void> {
  const known = await runSql(
    root,
    `SELECT rolname, shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname IN (${roles.map(role => `'${role}'`).join()})`,
  )
  const foreign = known.find(([, comment]) => comment !== mark)
  if (foreign)
    throw new Error(
      `the server has a role ${foreign[0]} that the sandbox did not create. Set DRIFTWATCH_SANDBOX_PG to another server.`,
    )
  await runSql(root, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
  const names = known.map(([role]) => role).join()
  if (names !== '') await runSql(root, `DROP OWNED BY ${names} CASCADE; DROP ROLE ${names}`)
}

/** Rejects new connections and closes existing ones. */
async function shut(root: string): Promise<void> {
  await runSql(root, `ALTER DATABASE ${database} WITH ALLOW_CONNECTIONS false`)
  await runSql(root, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}'`)
}

function readSql(name: string): string {
  return readFileSync(new URL(`postgres/${name}.sql`, import.meta.url), 'utf8')
}
