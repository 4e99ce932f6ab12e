import type { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { Client, ClientConfig, QueryArrayConfig } from 'pg'
import { rejectOnAbort } from '../../concurrency/deadline.ts'
import { describeTarget, type PostgresTarget } from '../../config/postgres-url.ts'
import { asDriftwatchError, DriftwatchError } from '../../errors.ts'
import { mayDependOnTls, translatePostgresError } from './postgres-errors.ts'
import { guardStream } from './postgres-guard.ts'

/** A connection within a transaction. */
export interface PostgresSession {
  /** The rows of one statement, each as an array in the order of its columns. Rejects with a code of ours. */
  rows<Row extends readonly unknown[]>(sql: string, values?: readonly unknown[]): Promise<Row[]>
  /** The same, where there are many: hands each row over as it arrives, and keeps none. */
  each<Row extends readonly unknown[]>(sql: string, values: readonly unknown[], take: (row: Row) => void): Promise<void>
  /** Runs statements that answer nothing; several are separated by semicolons. */
  run(sql: string): Promise<void>
}

/** The one connection to one database: opened when needed, kept, replaced when it broke. */
export interface PostgresConnection {
  /**
   * Runs work in a transaction that begins with `begin`, and commits. One at a time: others wait for their turn. When
   * the signal aborts, the connection is cut and the work rejected with DEADLINE_EXCEEDED. Errors have our codes: what
   * the work throws of its own is a BUG.
   */
  transact<Value>(
    begin: string,
    signal: AbortSignal,
    work: (session: PostgresSession) => Promise<Value>,
  ): Promise<Value>
  close(): Promise<void>
}

export function createPostgresConnection(target: PostgresTarget): PostgresConnection {
  let line: Line | null = null
  let turn: Promise<unknown> = Promise.resolve()
  let closed = false
  const transact = async <Value>(
    begin: string,
    signal: AbortSignal,
    work: (session: PostgresSession) => Promise<Value>,
  ) => {
    signal.throwIfAborted()
    if (closed) throw new DriftwatchError('UNAVAILABLE', `${describeTarget(target)}: the connection has been closed`)
    line = line?.usable() ? line : await openLine(target, signal)
    const current = line
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
    transact(begin, signal, work) {
      const mine = turn.then(() => transact(begin, signal, work))
      turn = mine.catch(() => undefined)
      return Promise.race([mine, rejectOnAbort(signal)]).catch(thrown => {
        throw signal.aborted ? tooLate(target) : translatePostgresError(thrown, target)
      })
    },
    async close() {
      closed = true
      await turn
      await line?.end()
    },
  }
}

function tooLate(target: PostgresTarget): DriftwatchError {
  return new DriftwatchError('DEADLINE_EXCEEDED', `${describeTarget(target)}: no answer came within the time allowed`)
}

function malformed(target: PostgresTarget): DriftwatchError {
  return new DriftwatchError(
    'MALFORMED_RESPONSE',
    `${describeTarget(target)}: what answered does not speak as PostgreSQL does`,
  )
}

function cutOnAbort(signal: AbortSignal, line: Line): () => void {
  const cut = () => line.cut()
  signal.addEventListener('abort', cut, { once: true })
  if (signal.aborted) cut()
  return () => signal.removeEventListener('abort', cut)
}

async function inTransaction<Value>(
  target: PostgresTarget,
  line: Line,
  begin: string,
  work: (session: PostgresSession) => Promise<Value>,
) {
  const { client } = line
  try {
    await client.query(begin)
    const value = await ofOurs(() => work(sessionOf(client, target)))
    await client.query('COMMIT')
    return value
  } catch (thrown) {
    await client.query('ROLLBACK').catch(() => line.cut())
    throw thrown
  }
}

/** What fails here is neither the driver's nor the server's, whose errors the session has translated already. */
async function ofOurs<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (thrown) {
    throw asDriftwatchError(thrown)
  }
}

function sessionOf(client: Client, target: PostgresTarget): PostgresSession {
  const ours = (thrown: unknown): never => {
    throw translatePostgresError(thrown, target)
  }
  const each = <Row extends readonly unknown[]>(
    text: string,
    values: readonly unknown[],
    take: (row: Row) => void,
  ): Promise<void> => eachRow<Row>(client, { text, values: [...values], rowMode: 'array' }, take).catch(ours)
  return {
    each,
    async rows<Row extends readonly unknown[]>(text: string, values: readonly unknown[] = []) {
      const rows: Row[] = []
      await each<Row>(text, values, row => rows.push(row))
      return rows
    },
    async run(sql) {
      await client.query(sql).catch(ours)
    },
  }
}

/** What `take` throws would end the process from within the driver, so it is kept until the server is done. */
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

interface Line {
  readonly client: Client
  usable(): boolean
  /** Whether it ended because what came was no answer of PostgreSQL's. */
  isMalformed(): boolean
  /** Ends it without a word, even in the middle of something. */
  cut(): void
  end(): Promise<void>
}

/** Tries the ways of encryption that the mode allows, in libpq's order. */
async function openLine(target: PostgresTarget, signal: AbortSignal): Promise<Line> {
  const [first, second] = waysOf(target)
  try {
    return await connect(target, first, signal)
  } catch (thrown) {
    if (second === undefined || signal.aborted || !mayDependOnTls(thrown)) throw thrown
    return await connect(target, second, signal)
  }
}

type Way = ConnectionOptions | false

function waysOf(target: PostgresTarget): readonly [Way, Way?] {
  if (target.host.startsWith('/')) return [false]
  switch (target.sslMode) {
    case 'disable':
      return [false]
    case 'allow':
      return [false, tlsOptions(target)]
    case 'prefer':
      return [tlsOptions(target), false]
    default:
      return [tlsOptions(target)]
  }
}

/** `require` with a root certificate means `verify-ca`, as in libpq. Names are compared by `verify-full` alone. */
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
    throw new DriftwatchError('CONFIG_INVALID', `${parameter} of the database URL: ${file} cannot be read`, { cause })
  }
}

async function connect(target: PostgresTarget, ssl: Way, signal: AbortSignal): Promise<Line> {
  // Loaded by whoever has a database.
  const { default: pg } = await import('pg')
  signal.throwIfAborted()
  const socket = new Socket()
  const client = new pg.Client(clientConfig(target, ssl, socket))
  let broken = false
  const cut = () => {
    broken = true
    socket.destroy()
  }
  // The server may go at any time, and an error event without a listener ends the process.
  client.on('error', cut)
  client.on('end', cut)
  const { connection } = client as unknown as { readonly connection: EventEmitter & { readonly stream: Socket } }
  let garbled = false
  const guard = () =>
    guardStream(connection.stream, () => {
      garbled = true
      cut()
    })
  connection.once(ssl === false ? 'connect' : 'sslconnect', guard)
  const line = {
    client,
    usable: () => !broken,
    isMalformed: () => garbled,
    cut,
    end: () => goodbye(client, connection.stream).then(cut),
  }
  const stop = cutOnAbort(signal, line)
  try {
    await client.connect()
    return line
  } catch (thrown) {
    cut()
    throw garbled ? malformed(target) : thrown
  } finally {
    stop()
  }
}

/** Over when the server has been told, or cannot be: one that is silent would never answer to it. */
function goodbye(client: Client, stream: Socket): Promise<void> {
  return new Promise(resolve => {
    stream.once('finish', resolve)
    client.end().then(resolve, () => resolve())
  })
}

function clientConfig(target: PostgresTarget, ssl: Way, socket: Socket): ClientConfig {
  const { host, port, database, user, password } = target
  return {
    host,
    port,
    database,
    user,
    // A text that is empty, or none, would make the driver take one from the environment or from a file.
    password: () => password ?? '',
    ssl,
    stream: () => socket,
    keepAlive: true,
    application_name: 'driftwatch',
  }
}
