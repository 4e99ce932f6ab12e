import type { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { Client, ClientConfig, QueryArrayConfig } from 'pg'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { describeTarget, type PostgresTarget } from '../../config/postgres-url.ts'
import { asDriftwatchError, DriftwatchError } from '../../errors.ts'
import { mayDependOnTls, translatePostgresError } from './postgres-errors.ts'
import { guardStream } from './postgres-guard.ts'
import { callableQuery, type ServerFunction } from './server-functions.ts'

/** Runs statements within one transaction. Every method rejects with a coded error. */
export interface PostgresSession {
  /** Whether the role may call a function that an administrator can revoke. */
  mayCall(name: ServerFunction): boolean
  /** The rows of one statement, each as an array in the order of its columns. */
  rows<Row extends readonly unknown[]>(sql: string, values?: readonly unknown[]): Promise<Row[]>
  /** For many rows: passes each row to `take` as it arrives, and stores none. */
  each<Row extends readonly unknown[]>(sql: string, values: readonly unknown[], take: (row: Row) => void): Promise<void>
  /** Runs statements that return no rows, separated by semicolons. */
  run(sql: string): Promise<void>
}

/** How long a connection may be used. */
export interface ConnectionLifetime {
  readonly clock: Clock
  readonly maxMs: number
}

/** Connections are closed after 80 to 100 % of their time, so that those of many databases do not reopen together. */
const lifetimeJitter = 0.2

/** How long to wait until the server has closed an old connection and freed its slot. */
const closingMs = 500

/**
 * One connection to one database: opened at first use, and reopened after it broke or grew too old. Every opening resolves
 * the host name and logs in again.
 */
export interface PostgresConnection {
  /**
   * Runs work in a transaction that starts with `begin` and commits; transactions run one at a time. When the deadline is
   * reached, the connection is closed and the work rejects with DEADLINE_EXCEEDED. Errors have our codes: an error of
   * the work itself is a BUG.
   */
  transact<Value>(begin: string, deadline: Deadline, work: (session: PostgresSession) => Promise<Value>): Promise<Value>
  /** The next transaction opens a new connection. Only for a connection with a lifetime. */
  expire(): void
  close(): Promise<void>
}

export function createPostgresConnection(
  target: PostgresTarget,
  lifetime: ConnectionLifetime | null = null,
): PostgresConnection {
  let link: Link | null = null
  let previous: Promise<unknown> = Promise.resolve()
  let closed = false
  let expiresAt = Number.POSITIVE_INFINITY

  async function openOrReuse(signal: AbortSignal): Promise<Link> {
    if (link?.isUsable() && lifetime && lifetime.clock.monotonic() >= expiresAt) await retire(link, lifetime, signal)
    if (link?.isUsable()) return link
    link = await openLink(target, signal)
    if (lifetime) expiresAt = lifetime.clock.monotonic() + lifetime.maxMs * (1 - lifetimeJitter * Math.random())
    return link
  }

  const transact = async <Value>(
    begin: string,
    { signal }: Deadline,
    work: (session: PostgresSession) => Promise<Value>,
  ) => {
    signal.throwIfAborted()
    if (closed) throw new DriftwatchError('UNAVAILABLE', `the connection to ${describeTarget(target)} is closed`)
    const current = await openOrReuse(signal)
    const stop = cutOnAbort(signal, current)
    try {
      return await inTransaction(target, current, begin, work)
    } catch (thrown) {
      throw current.isMalformed() ? malformed(target) : thrown
    } finally {
      stop()
    }
  }
  return {
    transact(begin, deadline, work) {
      const result = previous.then(() => transact(begin, deadline, work))
      previous = result.catch(() => undefined)
      return Promise.race([result, deadline.over]).catch(thrown => {
        throw deadline.signal.aborted
          ? timeoutError(target, asDriftwatchError(deadline.signal.reason).message)
          : translatePostgresError(thrown, target)
      })
    },
    expire() {
      expiresAt = Number.NEGATIVE_INFINITY
    },
    async close() {
      closed = true
      await previous
      await link?.end()
    },
  }
}

/** Ends an old connection. A server that does not confirm it delays the next connection only briefly. */
async function retire(link: Link, { clock }: ConnectionLifetime, signal: AbortSignal): Promise<void> {
  const stop = cutOnAbort(signal, link)
  const waiting = Promise.withResolvers<void>()
  const cancel = clock.after(closingMs, waiting.resolve)
  await Promise.race([link.ended(), waiting.promise])
  cancel()
  stop()
  link.cut()
}

function timeoutError(target: PostgresTarget, reason: string): DriftwatchError {
  return new DriftwatchError('DEADLINE_EXCEEDED', `no response from PostgreSQL: ${reason}: ${describeTarget(target)}`)
}

function malformed(target: PostgresTarget): DriftwatchError {
  return new DriftwatchError(
    'MALFORMED_RESPONSE',
    `${describeTarget(target)} sent a response that does not conform to the PostgreSQL protocol`,
  )
}

function cutOnAbort(signal: AbortSignal, link: Link): () => void {
  const cut = () => link.cut()
  signal.addEventListener('abort', cut, { once: true })
  if (signal.aborted) cut()
  return () => signal.removeEventListener('abort', cut)
}

async function inTransaction<Value>(
  target: PostgresTarget,
  link: Link,
  begin: string,
  work: (session: PostgresSession) => Promise<Value>,
) {
  const { client } = link
  try {
    const callable = await beginTransaction(client, begin)
    const value = await withCode(() => work(sessionOf(client, target, callable)))
    await client.query('COMMIT')
    return value
  } catch (thrown) {
    await client.query('ROLLBACK').catch(() => link.cut())
    throw thrown
  }
}

/** Begins, and reads in the same round trip what the role may call. */
async function beginTransaction(client: Client, begin: string): Promise<ReadonlySet<ServerFunction>> {
  const results = await client.query({ text: `${begin}; ${callableQuery}`, rowMode: 'array' })
  const [[names = []] = []] = ([results].flat().at(-1)?.rows ?? []) as [ServerFunction[]?][]
  return new Set(names)
}

/** The session has translated the errors of driver and server already; any other error is a bug. */
async function withCode<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (thrown) {
    throw asDriftwatchError(thrown)
  }
}

function sessionOf(client: Client, target: PostgresTarget, callable: ReadonlySet<ServerFunction>): PostgresSession {
  const rethrow = (thrown: unknown): never => {
    throw translatePostgresError(thrown, target)
  }
  const each = <Row extends readonly unknown[]>(
    text: string,
    values: readonly unknown[],
    take: (row: Row) => void,
  ): Promise<void> => eachRow<Row>(client, { text, values: [...values], rowMode: 'array' }, take).catch(rethrow)
  return {
    mayCall: name => callable.has(name),
    each,
    async rows<Row extends readonly unknown[]>(text: string, values: readonly unknown[] = []) {
      const rows: Row[] = []
      await each<Row>(text, values, row => rows.push(row))
      return rows
    },
    async run(sql) {
      await client.query(sql).catch(rethrow)
    },
  }
}

/** An error of `take` would end the process if the driver saw it, so it is thrown when the query has ended. */
async function eachRow<Row extends readonly unknown[]>(
  client: Client,
  query: QueryArrayConfig,
  take: (row: Row) => void,
): Promise<void> {
  const { default: pg } = await import('pg')
  await new Promise<void>((resolve, reject) => {
    let failure: DriftwatchError | null = null
    const running = new pg.Query<Row>(query)
    running.on('row', row => {
      try {
        if (!failure) take(row)
      } catch (thrown) {
        failure = asDriftwatchError(thrown)
      }
    })
    running.on('error', reject)
    running.on('end', () => (failure ? reject(failure) : resolve()))
    client.query(running)
  })
}

/** An open connection. */
interface Link {
  readonly client: Client
  isUsable(): boolean
  /** Whether it was cut because the server violated the protocol. */
  isMalformed(): boolean
  /** Closes the socket at once. */
  cut(): void
  /** Tells the server first. */
  end(): Promise<void>
  /** Tells the server, and waits until it has closed the connection. */
  ended(): Promise<void>
}

/** Tries the kinds of encryption that the SSL mode allows, in libpq's order. */
async function openLink(target: PostgresTarget, signal: AbortSignal): Promise<Link> {
  const [first, second] = encryptionsOf(target)
  try {
    return await connect(target, first, signal)
  } catch (thrown) {
    if (second === undefined || signal.aborted || !mayDependOnTls(thrown)) throw thrown
    return await connect(target, second, signal)
  }
}

/** TLS options, or false for no encryption. */
type Encryption = ConnectionOptions | false

function encryptionsOf(target: PostgresTarget): readonly [Encryption, Encryption?] {
  if (target.host.startsWith('/') || target.sslMode === 'disable') return [false]
  const tls = tlsOptions(target)
  if (target.sslMode === 'allow') return [false, tls]
  return target.sslMode === 'prefer' ? [tls, false] : [tls]
}

/** As in libpq, `require` with a root certificate means `verify-ca`, and only `verify-full` compares host names. */
function tlsOptions({ sslMode, sslRootCert, sslCert, sslKey }: PostgresTarget): ConnectionOptions {
  const verifies =
    sslMode === 'verify-ca' || sslMode === 'verify-full' || (sslMode === 'require' && sslRootCert !== null)
  return {
    rejectUnauthorized: verifies,
    ...(sslMode !== 'verify-full' && { checkServerIdentity: () => undefined }),
    ...(verifies && sslRootCert !== null && sslRootCert !== 'system' && { ca: readPem(sslRootCert, 'sslrootcert') }),
    ...(sslCert !== null && { cert: readPem(sslCert, 'sslcert') }),
    ...(sslKey !== null && { key: readPem(sslKey, 'sslkey') }),
  }
}

function readPem(file: string, parameter: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new DriftwatchError('CONFIG_INVALID', `cannot read ${file} (${parameter} of the database URL)`, { cause })
  }
}

async function connect(target: PostgresTarget, ssl: Encryption, signal: AbortSignal): Promise<Link> {
  // Loaded at first use: not every configuration has a database.
  const { default: pg } = await import('pg')
  signal.throwIfAborted()
  const socket = new Socket()
  const client = new pg.Client(clientConfig(target, ssl, socket))
  let usable = true
  const cut = () => {
    usable = false
    socket.destroy()
  }
  // The server may close the connection at any time, and an error event without a listener ends the process.
  client.on('error', cut)
  client.on('end', cut)
  const { connection } = client as unknown as { readonly connection: EventEmitter & { readonly stream: Socket } }
  let isMalformed = false
  const guard = () =>
    guardStream(connection.stream, () => {
      isMalformed = true
      cut()
    })
  connection.once(ssl === false ? 'connect' : 'sslconnect', guard)
  const link = {
    client,
    isUsable: () => usable,
    isMalformed: () => isMalformed,
    cut,
    end: () => sendTermination(client, connection.stream).then(cut),
    ended: () => client.end().catch(() => undefined),
  }
  const stop = cutOnAbort(signal, link)
  try {
    await client.connect()
    return link
  } catch (thrown) {
    cut()
    throw isMalformed ? malformed(target) : thrown
  } finally {
    stop()
  }
}

/** Resolves when the message is sent, or cannot be sent, because a silent server never confirms it. */
function sendTermination(client: Client, stream: Socket): Promise<void> {
  return new Promise(resolve => {
    stream.once('finish', resolve)
    client.end().then(resolve, () => resolve())
  })
}

function clientConfig(target: PostgresTarget, ssl: Encryption, socket: Socket): ClientConfig {
  const { host, port, database, user, password } = target
  return {
    host,
    port,
    database,
    user,
    // Without a function, the driver would take a missing password from the environment or from a file.
    password: () => password ?? '',
    ssl,
    stream: () => socket,
    keepAlive: true,
    application_name: 'driftwatch',
  }
}
