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

/** A server refuses to run as root: there it runs as nobody. */
export const identity: { readonly uid?: number; readonly gid?: number } =
  process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/** The superuser of every server. */
export const superuser = 'postgres'

/** An empty cluster, made once for each version and copied for each server. */
export interface ClusterTemplate {
  /** Where PostgreSQL's programs are. */
  readonly bin: string
  readonly data: string
  /** The superuser's. */
  readonly password: string
  /** Whether it was made just now. */
  readonly isNew: boolean
}

export interface PrepareOptions {
  /** Told of what takes its time. */
  readonly onProgress?: ((line: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** The template of a version: the one that an earlier start left in the temporary directory, or a new one. */
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
    // Another process that starts at the same time may have been faster.
    if (!isWhole(place)) throw error
  }
  return readTemplate(place, native, true)
}

/** For a template that turned out broken: the next start makes a new one. */
export function discardTemplate(major: number): void {
  rmSync(join(ownDirectory(), locateBinaries(major).version), { recursive: true, force: true })
}

/** Copies a data directory for a server, whose user must own it. */
export function copyOwned(from: string, to: string): void {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE })
  chmodSync(to, 0o700)
  const { uid, gid } = identity
  if (uid === undefined || gid === undefined) return
  for (const name of ['', ...readdirSync(to, { recursive: true, encoding: 'utf8' })])
    lchownSync(join(to, name), uid, gid)
}

/** Programs are run from it, so it must be nobody else's. */
function ownDirectory(): string {
  const uid = process.getuid?.() ?? 0
  const directory = join(tmpdir(), `driftwatch-postgres-${uid}`)
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  const { mode, uid: owner } = lstatSync(directory)
  if (process.getuid && (owner !== uid || (mode & 0o022) !== 0))
    throw new Error(`${directory} can be written by others: remove it, and start again`)
  return directory
}

/** The password is written last. */
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

/** For nobody the programs are copied too, since it may not enter every home. */
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
