import pg from 'pg'

/** Runs statements on a new connection. Resolves with the rows of the last one, each as an array. */
export async function runSql(url: string, text: string): Promise<unknown[][]> {
  const client = new pg.Client({ connectionString: url, application_name: 'driftwatch-sandbox' })
  client.on('error', () => {})
  await client.connect()
  try {
    const result = await client.query<unknown[]>({ text, rowMode: 'array' })
    return [result].flat().at(-1)?.rows ?? []
  } finally {
    await client.end()
  }
}
