import { randomUUID } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { DriftwatchError } from '../errors.ts'
import type { Receipt } from './rollout/receipt.ts'

/**
 * Creates the folder of a receipt, and throws USAGE if the receipt cannot be written. Called before anything is changed;
 * tries it with a temporary file.
 */
export function assertWritable(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true })
    const { path, mode } = findTarget(file)
    if (mode !== null) accessSync(path, constants.W_OK)
    rmSync(writeTemporary(path, mode, ''))
  } catch (error) {
    throw unwritable(file, error)
  }
}

/** Writes a receipt, atomically if possible. Keeps the permissions of an existing file and symbolic links to it. */
export function writeReceipt(file: string, receipt: Receipt): void {
  try {
    const { path, mode } = findTarget(file)
    const content = `${JSON.stringify(receipt, null, 2)}\n`
    const temporary = writeTemporary(path, mode, content)
    try {
      renameSync(temporary, path)
    } catch {
      // A file that is mounted, or that another user owns in a sticky folder, cannot be replaced, only written.
      rmSync(temporary, { force: true })
      overwrite(path, content)
    }
  } catch (error) {
    throw unwritable(file, error)
  }
}

/** The path of the file itself, and its permissions; null if it does not exist. Throws if it is not a regular file. */
function findTarget(file: string): { readonly path: string; readonly mode: number | null } {
  // A link there may lead to the redirected output of this process, which must not be replaced.
  if (/^\/(?:dev\/(?:std(?:in|out|err)$|fd\/)|proc\/)/.test(resolve(file)))
    throw new Error('it is an open file of a process')
  const stats = statSync(file, { throwIfNoEntry: false })
  if (!stats) {
    if (lstatSync(file, { throwIfNoEntry: false })) throw new Error('it is a symbolic link without a target')
    return { path: file, mode: null }
  }
  if (!stats.isFile()) throw new Error(`it is ${describeType(stats)}, not a regular file`)
  if (isOutput(stats)) throw new Error('it is the output of this command')
  return { path: realpathSync(file), mode: stats.mode & 0o777 }
}

function overwrite(path: string, text: string): void {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW)
  try {
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Whether the standard output or error is redirected to this file: replacing it would lose the output. */
function isOutput({ dev, ino }: Stats): boolean {
  return [1, 2].some(descriptor => {
    try {
      const output = fstatSync(descriptor)
      return output.dev === dev && output.ino === ino
    } catch {
      return false // It is closed.
    }
  })
}

function describeType(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory'
  if (stats.isFIFO()) return 'a pipe'
  return stats.isSocket() ? 'a socket' : 'a device'
}

/** Its name cannot be predicted, and the content is never written through a link. Returns its path. */
function writeTemporary(path: string, mode: number | null, text: string): string {
  const temporary = join(dirname(path), `.driftwatch-${randomUUID()}.tmp`)
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const descriptor = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode === null ? 0o666 : 0o600)
  try {
    if (mode !== null) fchmodSync(descriptor, mode)
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
    return temporary
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  } finally {
    closeSync(descriptor)
  }
}

function unwritable(file: string, cause: unknown): DriftwatchError {
  const reason = cause instanceof Error ? ('code' in cause ? String(cause.code) : cause.message) : String(cause)
  return new DriftwatchError(
    'USAGE',
    `cannot write the receipt ${file}: ${reason}. Pass another file with --receipt.`,
    { cause },
  )
}
