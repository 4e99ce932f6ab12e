import { readFileSync } from 'node:fs'
import { digestOf } from '../images.ts'
import { runSql } from './sql.ts'

/** The migrations that each image carries, by its digest. An older image carries fewer. */
const carried: ReadonlyMap<string, readonly string[]> = new Map(
  [
    ['image-a', ['0001_runs']] as const,
    ['image-b', ['0001_runs', '0002_sync_topics']] as const,
    ['image-c', ['0001_runs', '0002_sync_topics', '0003_sync_stream_events']] as const,
    ['image-d', ['0001_runs', '0002_sync_topics', '0003_sync_stream_events']] as const,
  ].map(([image, versions]) => [digestOf(image), versions]),
)

/** As the owner, so that its default privileges apply. Concurrent migrations wait for each other. */
const prepare = `
  SET ROLE oa_runtime_owner;
  SELECT pg_advisory_xact_lock(hashtext('runtime-migrate'));
  CREATE TABLE IF NOT EXISTS runtime.schema_migrations (version text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`

/**
 * The program `runtime-migrate` of an image: applies the migrations that the image carries and that the ledger
 * `runtime.schema_migrations` does not record, in one transaction. A recorded one is never applied again, even if its
 * tables were dropped.
 */
export async function migrate(adminUrl: string, digest: string): Promise<void> {
  const versions = carried.get(digest) ?? []
  await runSql(adminUrl, [prepare, ...versions.map(applyOnce)].join(';\n'))
}

function applyOnce(version: string): string {
  const sql = readFileSync(new URL(`migrations/${version}.sql`, import.meta.url), 'utf8')
  return `
    DO $migration$ BEGIN
      IF NOT EXISTS (SELECT FROM runtime.schema_migrations WHERE version = '${version}') THEN
        ${sql}
        INSERT INTO runtime.schema_migrations (version) VALUES ('${version}');
      END IF;
    END $migration$`
}
