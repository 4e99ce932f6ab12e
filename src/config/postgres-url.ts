import { DriftwatchError } from '../errors.ts'

/** How libpq's `sslmode` words rank. */
export const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof sslModes)[number]

/** Where a database is and how to get in. */
export interface PostgresTarget {
  /** A host name, an address, or the directory of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string | null
  readonly sslMode: SslMode
  /** Files with PEM; null where not given. `system` as the root stands for the certificates that Node trusts. */
  readonly sslRootCert: string | null
  readonly sslCert: string | null
  readonly sslKey: string | null
}

const shape = /^postgres(?:ql)?:\/\/(?:([^/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i

/** Reads a URL as libpq does. Throws CONFIG_INVALID, without repeating the URL, since it holds a password. */
export function parsePostgresUrl(url: string): PostgresTarget {
  const match = shape.exec(url.trim())
  if (!match) throw invalid('is not of the form postgres://user:password@host:port/database')
  const [, credentials = '', authority = '', path = '', query = ''] = match
  const parameters = readParameters(query)
  const colon = credentials.indexOf(':')
  const user = parameters.user ?? decode(colon < 0 ? credentials : credentials.slice(0, colon), 'user')
  if (user === '') throw invalid('names no user: write postgres://USER@HOST:PORT/DATABASE')
  const written = colon < 0 ? null : decode(credentials.slice(colon + 1), 'password')
  const { host, port } = readAuthority(authority)
  return {
    host: (parameters.host ?? host) || 'localhost',
    port: readPort(parameters.port ?? port),
    database: (parameters.dbname ?? decode(path, 'database')) || user,
    user,
    password: parameters.password ?? written,
    sslMode: readSslMode(parameters),
    sslRootCert: parameters.sslrootcert ?? null,
    sslCert: parameters.sslcert ?? null,
    sslKey: parameters.sslkey ?? null,
  }
}

function readParameters(query: string): Readonly<Record<string, string>> {
  const pairs = query.split('&').filter(pair => pair !== '')
  return Object.fromEntries(
    pairs.map(pair => {
      const equals = pair.indexOf('=')
      if (equals < 0) throw invalid(`has a parameter without a value`)
      const name = decode(pair.slice(0, equals), 'parameter')
      return [name, decode(pair.slice(equals + 1), 'parameter')]
    }),
  )
}

function readAuthority(authority: string): { host: string; port: string } {
  const [, bracketed, bare, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/.exec(authority) ?? []
  if (authority.includes(',')) throw invalid('names several hosts, of which Driftwatch can use only one')
  return { host: bracketed ?? decode(bare ?? '', 'host'), port: port ?? '' }
}

function readPort(text: string): number {
  const port = text === '' ? 5432 : Number(text)
  if (!/^[0-9]*$/.test(text) || port < 1 || port > 65_535) throw invalid('has a port that is none')
  return port
}

function readSslMode({ sslmode, sslrootcert }: Readonly<Record<string, string>>): SslMode {
  const fallback = sslrootcert === 'system' ? 'verify-full' : 'prefer'
  const mode = sslModes.find(known => known === (sslmode ?? fallback))
  if (!mode) throw invalid(`has an sslmode that is none of ${sslModes.join(', ')}`)
  if (sslrootcert === 'system' && mode !== 'verify-full')
    throw invalid('needs sslmode=verify-full for sslrootcert=system')
  if (mode === 'verify-ca' && sslrootcert === undefined)
    throw invalid('needs sslrootcert for sslmode=verify-ca: any public authority would do otherwise')
  return mode
}

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid(`has a ${what} with a % that begins no encoded character: write it as %25`)
  }
}

function invalid(problem: string): DriftwatchError {
  return new DriftwatchError('CONFIG_INVALID', `the database URL ${problem}`)
}

/** What errors call the database: never with a password. */
export function describeTarget({ host, port, database, user }: PostgresTarget): string {
  const where = host.startsWith('/') ? host : `${host.includes(':') ? `[${host}]` : host}:${port}`
  return `database ${database} at ${where} as ${user}`
}
