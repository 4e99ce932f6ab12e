import { DriftwatchError } from '../errors.ts'

/** The values of libpq's `sslmode`, from weakest to strictest. */
const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
type SslMode = (typeof sslModes)[number]

/** How to connect to a database. */
export interface PostgresTarget {
  /** A host name, an address, or the directory of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string | null
  readonly sslMode: SslMode
  /** Paths of PEM files, or null. The root `system` means the certificates that Node.js trusts. */
  readonly sslRootCert: string | null
  readonly sslCert: string | null
  readonly sslKey: string | null
}

/** No spaces, and no `@` after the host: a password with an unencoded `/` or `?` must not be split into host and path. */
const shape = /^postgres(?:ql)?:\/\/(?:([^\s/?#]*)@)?([^\s@/?#]*)(?:\/([^\s@/?#]*))?(?:\?([^\s@#]*))?$/i

/** Parses a URL as libpq does. Throws CONFIG_INVALID with a message that never contains the password. */
export function parsePostgresUrl(url: string): PostgresTarget {
  const match = shape.exec(url.trim())
  if (!match) throw invalid(`invalid database URL: ${form}`)
  const [, credentials, authority = '', path = '', query = ''] = match
  const parameters = readParameters(query)
  const [, name = '', secret] = /^([^:]*)(?::(.*))?$/.exec(credentials ?? '') ?? []
  const user = parameters.user ?? decode(name, 'user')
  if (user === '') throw invalid(`the database URL has no user: ${form}`)
  const password = parameters.password ?? (secret === undefined ? null : decode(secret, 'password'))
  const { host, port } = readAuthority(authority)
  return {
    host: (parameters.host ?? host) || 'localhost',
    port: readPort(parameters.port ?? port, credentials !== undefined),
    database: (parameters.dbname ?? decode(path, 'database')) || user,
    user,
    password,
    sslMode: readSslMode(parameters),
    sslRootCert: parameters.sslrootcert ?? null,
    sslCert: parameters.sslcert ?? null,
    sslKey: parameters.sslkey ?? null,
  }
}

const form = 'expected postgres://user:password@host:port/database with percent-encoded parts'

function readParameters(query: string): Readonly<Record<string, string>> {
  const pairs = query.split('&').filter(pair => pair !== '')
  return Object.fromEntries(
    pairs.map(pair => {
      const equals = pair.indexOf('=')
      if (equals < 0) throw invalid('a parameter of the database URL has no value: expected name=value')
      const name = decode(pair.slice(0, equals), 'parameter')
      return [name, decode(pair.slice(equals + 1), 'parameter')]
    }),
  )
}

function readAuthority(authority: string): { host: string; port: string } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]<>^|\\]*))(?::(.*))?$/.exec(authority)
  if (authority.includes(',')) throw invalid('the database URL has several hosts: expected one')
  if (!match) throw invalid('the database URL has an invalid host: expected a name, an address or [IPv6]')
  const [, bracketed, bare = '', port = ''] = match
  return { host: bracketed ?? decode(bare, 'host'), port }
}

/** Quotes the port only if the URL has credentials: without them, it may be a password before a missing `@`. */
function readPort(text: string, mayQuote: boolean): number {
  const port = text === '' ? 5432 : Number(text)
  if (/^[0-9]*$/.test(text) && port >= 1 && port <= 65_535) return port
  throw invalid(`invalid port${mayQuote ? ` "${text}"` : ''}: expected a number from 1 to 65535`)
}

function readSslMode({ sslmode, sslrootcert }: Readonly<Record<string, string>>): SslMode {
  const fallback = sslrootcert === 'system' ? 'verify-full' : 'prefer'
  const mode = sslModes.find(known => known === (sslmode ?? fallback))
  if (!mode) throw invalid(`invalid sslmode: expected one of ${sslModes.join(', ')}`)
  if (sslrootcert === 'system' && mode !== 'verify-full') throw invalid('sslrootcert=system needs sslmode=verify-full')
  if (mode === 'verify-ca' && sslrootcert === undefined)
    throw invalid('sslmode=verify-ca needs sslrootcert: otherwise every public authority would be trusted')
  return mode
}

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid(`invalid percent-encoding in the ${what} of the database URL: write % as %25`)
  }
}

function invalid(message: string): DriftwatchError {
  return new DriftwatchError('CONFIG_INVALID', message)
}

/** The database as errors name it, without the password. */
export function describeTarget({ host, port, database, user }: PostgresTarget): string {
  const where = host.startsWith('/') ? host : `${host.includes(':') ? `[${host}]` : host}:${port}`
  return `database ${database} at ${where} as ${user}`
}
