import { superuser } from '../../sandbox/postgres/cluster-template.ts'
import { type PostgresServer as Server, startServer } from '../../sandbox/postgres/server.ts'
import { runSql } from '../../sandbox/postgres/sql.ts'

export { installedMajors } from '../../sandbox/postgres/binaries.ts'
export { superuser }

/** The sandbox's server, which trusts all local connections. */
export interface PostgresServer extends Server {
  /** Runs statements as a user on a new connection; resolves with the rows of the last one. */
  sql(database: string, text: string, user?: string): Promise<unknown[][]>
}

const trustful = 'local all,replication all trust\nhost all all 127.0.0.1/32 trust\n'

/** Starts a server of a major version. */
export async function startPostgres(
  major: number,
  { hba = trustful, options = [] }: { hba?: string; options?: string[] } = {},
): Promise<PostgresServer> {
  const server = await startServer({ major, hba, socket: true, options })
  return { ...server, sql: (database, text, user = superuser) => runSql(server.url(user, database), text) }
}
