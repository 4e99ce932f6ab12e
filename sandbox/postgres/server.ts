import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type ClusterTemplate,
  copyOwned,
  discardTemplate,
  identity,
  type PrepareOptions,
  prepareTemplate,
} from './cluster-template.ts'

export interface ServerOptions extends PrepareOptions {
  /** Default 18. */
  readonly major?: number
  /** Replaces the pg_hba.conf that requires a password for all connections. */
  readonly hba?: string
  /** Whether to listen also on a Unix socket in the server's directory. */
  readonly socket?: boolean
  /** Additional command line options of `postgres`. */
  readonly options?: readonly string[]
  /** A data directory to copy instead of that of an empty cluster. */
  readonly data?: string
}

/** A PostgreSQL server on 127.0.0.1, in a temporary directory. */
export interface PostgresServer {
  readonly major: number
  readonly port: number
  /** Contains the data and the Unix socket. */
  readonly directory: string
  /** Of the superuser. */
  readonly password: string
  url(user: string, database: string, password?: string): string
  /** Kills the server, like a crash. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Stops the server and removes its files. */
  stop(): Promise<void>
}

/** Starts a server on a copy of the template. A broken template is recreated. */
export async function startServer(options: ServerOptions = {}): Promise<PostgresServer> {
  const { major = 18 } = options
  const template = await prepareTemplate(major, options)
  try {
    return await startOn(template, options)
  } catch (error) {
    if (template.isNew || options.signal?.aborted) throw error
    discardTemplate(major)
    return startOn(await prepareTemplate(major, options), options)
  }
}

async function startOn(template: ClusterTemplate, options: ServerOptions): Promise<PostgresServer> {
  const { major = 18, hba, socket = false, signal } = options
  signal?.throwIfAborted()
  const directory = mkdtempSync(join(tmpdir(), 'driftwatch-pg-'))
  const guard = startGuard(directory)
  const clear = () => {
    guard.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    const port = await freePort()
    const data = layOut(directory, options.data ?? template.data, hba)
    const process = createProcess(
      join(template.bin, 'postgres'),
      settings(data, socket ? directory : '', port, options.options),
    )
    await process.start(data)
    return {
      major,
      port,
      directory,
      password: template.password,
      url: (user, database, password) => urlOf({ user, database, port, ...(password !== undefined && { password }) }),
      start: () => process.start(data),
      kill: () => process.end('SIGQUIT'),
      async stop() {
        await process.end('SIGQUIT')
        clear()
      },
    }
  } catch (error) {
    clear()
    throw error
  }
}

function layOut(directory: string, from: string, hba: string | undefined): string {
  const data = join(directory, 'data')
  copyOwned(from, data)
  if (hba !== undefined) writeFileSync(join(data, 'pg_hba.conf'), hba)
  if (identity.uid !== undefined && identity.gid !== undefined) {
    chmodSync(directory, 0o755)
    chownSync(directory, identity.uid, identity.gid)
  }
  return data
}

/** Stops the server and removes its files if this process ends without doing so. */
const guardScript = `
  read -r _
  if read -r pid < "$1/data/postmaster.pid"; then
    kill -QUIT "$pid"
    while kill -0 "$pid"; do sleep 0.1; done
  fi
  rm -rf "$1"`

/** The standard input of the guard closes when this process ends. */
function startGuard(directory: string): ChildProcess {
  const guard = spawn('/bin/sh', ['-c', guardScript, 'guard', directory], {
    env: { PATH: '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guard.unref()
  if (guard.stdin instanceof Socket) guard.stdin.unref()
  return guard
}

/** Without fsync and with little memory, because the data is temporary. */
function settings(data: string, sockets: string, port: number, more: readonly string[] = []): string[] {
  return [
    ...['-D', data, '-p', String(port), '-k', sockets, '-h', '127.0.0.1', '-F', '-c', 'shared_buffers=16MB'],
    ...['-c', 'max_connections=20', '-c', 'max_wal_senders=0', '-c', 'autovacuum=off', ...more],
  ]
}

function urlOf({
  user,
  database,
  port,
  password,
}: {
  user: string
  database: string
  port: number
  password?: string
}) {
  const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`
  return `postgres://${encodeURIComponent(user)}${secret}@127.0.0.1:${port}/${encodeURIComponent(database)}`
}

/** The process of the server, which can be restarted. */
function createProcess(program: string, settings: readonly string[]) {
  let running: ChildProcess | null = null
  const end = async (signal: NodeJS.Signals) => {
    const ending = running
    running = null
    if (!ending || ending.exitCode !== null || ending.signalCode !== null) return
    ending.kill(signal)
    await once(ending, 'exit')
  }
  return {
    end,
    async start(data: string) {
      // In a process group of its own, so that Ctrl-C does not reach it and the sandbox stops it in order.
      const child = spawn(program, settings, {
        ...identity,
        cwd: data,
        env: {},
        stdio: ['ignore', 'ignore', 'pipe'],
        detached: true,
      })
      running = child
      await untilReady(child, data).catch(async error => {
        await end('SIGQUIT')
        throw error
      })
    },
  }
}

/** The eighth line of the lock file contains the status of the server. */
async function untilReady(child: ChildProcess, data: string): Promise<void> {
  let words = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    words = (words + chunk).slice(-2000)
  })
  child.once('error', error => {
    words += error.message
  })
  const giveUp = Date.now() + 30_000
  while (Date.now() < giveUp && child.exitCode === null && child.pid !== undefined) {
    const file = join(data, 'postmaster.pid')
    const [pid, , , , , , , state] = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
    if (state?.trim() === 'ready' && pid === String(child.pid)) return
    await delay(10)
  }
  throw new Error(`PostgreSQL did not start: ${words.trim()}`)
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
