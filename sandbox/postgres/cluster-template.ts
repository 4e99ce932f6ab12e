import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  constants,
  cpSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { locateBinaries } from './binaries.ts'

/** The server does not run as root: root starts it as the user nobody. */
export const identity: { readonly uid?: number; readonly gid?: number } =
  process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/** The superuser of all servers. */
export const superuser = 'postgres'

/** An empty cluster, created once for each version and copied for each server. */
export interface ClusterTemplate {
  /** The directory of PostgreSQL's programs. */
  readonly bin: string
  readonly data: string
  /** Of the superuser. */
  readonly password: string
  /** Whether it was created by this call. */
  readonly isNew: boolean
}

export interface PrepareOptions {
  /** Called before a step that takes long. */
  readonly onProgress?: ((line: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** The template of a version: from the temporary directory, or a new one. */
export async function prepareTemplate(major: number, options: PrepareOptions = {}): Promise<ClusterTemplate> {
  const { version, native } = locateBinaries(major)
  const place = join(ownDirectory(), version)
  if (isWhole(place)) return readTemplate(place, native, false)
  options.onProgress?.(`Preparing PostgreSQL ${version}, which takes a few seconds the first time ...`)
  const made = mkdtempSync(`${place}-`)
  try {
    await makeTemplate(made, native, options.signal)
    rmSync(place, { recursive: true, force: true })
    renameSync(made, place)
  } catch (error) {
    rmSync(made, { recursive: true, force: true })
    // Another process may have created it at the same time.
    if (!isWhole(place)) throw error
  }
  return readTemplate(place, native, true)
}

/** Removes a broken template, so that the next start creates a new one. */
export function discardTemplate(major: number): void {
  rmSync(join(ownDirectory(), locateBinaries(major).version), { recursive: true, force: true })
}

/** Copies a data directory for a server. The user of the server must own it. */
export function copyOwned(from: string, to: string): void {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE })
  chmodSync(to, 0o700)
  const { uid, gid } = identity
  if (uid === undefined || gid === undefined) return
  for (const name of ['', ...readdirSync(to, { recursive: true, encoding: 'utf8' })])
    lchownSync(join(to, name), uid, gid)
}

/** Programs run from this directory, so that no other user may write to it. */
function ownDirectory(): string {
  const uid = process.getuid?.() ?? 0
  const directory = join(tmpdir(), `driftwatch-postgres-${uid}`)
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  const { mode, uid: owner } = lstatSync(directory)
  if (process.getuid && (owner !== uid || (mode & 0o022) !== 0))
    throw new Error(`${directory} is writable by other users. Remove it and start again.`)
  return directory
}

/** The password is written last, so that it marks a complete template. */
function isWhole(place: string): boolean {
  return existsSync(join(place, 'password')) && existsSync(join(place, 'data', 'PG_VERSION'))
}

function readTemplate(place: string, native: string, isNew: boolean): ClusterTemplate {
  return {
    bin: join(identity.uid === undefined ? native : join(place, 'native'), 'bin'),
    data: join(place, 'data'),
    password: readFileSync(join(place, 'password'), 'utf8'),
    isNew,
  }
}

/** For the user nobody the programs are copied, too, because it may have no access to the home directory. */
async function makeTemplate(place: string, native: string, signal?: AbortSignal): Promise<void> {
  const { uid, gid } = identity
  const data = join(place, 'data')
  const words = join(place, 'words')
  const password = randomBytes(12).toString('hex')
  chmodSync(place, 0o755)
  mkdirSync(data, { mode: 0o700 })
  writeFileSync(words, password, { mode: 0o600 })
  let programs = native
  if (uid !== undefined && gid !== undefined) {
    programs = join(place, 'native')
    cpSync(native, programs, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE })
    for (const own of [data, words]) chownSync(own, uid, gid)
  }
  const where = ['-D', data, '-U', superuser, '-A', 'scram-sha-256', `--pwfile=${words}`]
  const how = ['-E', 'UTF8', '--locale=C', '--no-sync', '--wal-segsize=1']
  await promisify(execFile)(join(programs, 'bin', 'initdb'), [...where, ...how], {
    ...identity,
    cwd: place,
    env: {},
    ...(signal && { signal }),
  })
  renameSync(words, join(place, 'password'))
}
