import type { ParseArgsOptionsConfig } from 'node:util'
import type { Clock } from '../clock.ts'
import type { Variables } from '../config/file/interpolate.ts'
import { maskText } from '../config/mask.ts'
import { parseDuration } from '../duration.ts'
import { DriftwatchError, type ErrorCode } from '../errors.ts'
import { shownLines } from '../printable.ts'

/** Where text goes. */
export interface TextStream {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** What a command touches of the process. */
export interface CommandIo {
  /** Where somebody answers questions, if it is a terminal. Left out: nobody does. */
  readonly stdin?: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  /** Results. */
  readonly stdout: TextStream
  /** Everything else. */
  readonly stderr: TextStream
  /** The environment; left out, it is that of the process. */
  readonly variables?: Variables
  readonly clock: Clock
  /** The version of Node.js, as `v24.1.0`. */
  readonly nodeVersion: string
  /** Calls back when the process is asked to read its config again; returns what ends that. Left out: nobody asks. */
  readonly onHangup?: (listener: () => void) => () => void
  /** Aborts when the process is asked to end. */
  readonly signal: AbortSignal
  /** Aborts when it is asked once more: the process ends as soon as the listeners have returned. Left out: it never is. */
  readonly atOnce?: AbortSignal
}

/** Options as `parseArgs` of Node.js gives them. */
export type OptionValues = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

export interface Command {
  /** What `driftwatch <command> --help` prints. */
  readonly help: string
  readonly options: ParseArgsOptionsConfig
  /** Does it; resolves with the exit code, rejects with a coded error. */
  run(values: OptionValues, io: CommandIo): Promise<number>
}

/** Commands under one word: `driftwatch grants plan`. */
export interface CommandGroup {
  readonly help: string
  readonly commands: Readonly<Record<string, Command>>
}

/** These say again what was typed: a URL with its password may stand where none belongs. */
const quoting: ReadonlySet<ErrorCode> = new Set(['USAGE', 'STACK_NOT_FOUND', 'CHECK_NOT_FOUND', 'CONFIG_UNREADABLE'])

/** Tells of an error; where Driftwatch itself failed also where, and what to do with it. */
export function tellError({ stderr }: Pick<CommandIo, 'stderr'>, error: DriftwatchError): void {
  const lines = error.message.trimEnd().split('\n')
  const told = quoting.has(error.code) ? lines.map(maskText) : lines
  stderr.write(`driftwatch: ${shownLines(told.join('\n'))}\n`)
  if (error.code !== 'BUG') return
  const { stack, cause } = error
  const trace = cause instanceof Error ? cause.stack : stack
  stderr.write(`${shownLines(trace ?? '')}\nThis is a bug of Driftwatch: please report it.\n`)
}

/** The values of an option that may be repeated. */
export function repeated(values: OptionValues, name: string): string[] {
  const given = values[name]
  return Array.isArray(given) ? given.map(String) : []
}

/** `--wait` in milliseconds, or null where it is not given. */
export function readWait(values: OptionValues): number | null {
  const given = single(values, 'wait')
  if (given === null) return null
  const waitMs = parseDuration(given)
  if (waitMs !== null) return waitMs
  throw new DriftwatchError('USAGE', `--wait takes a duration such as 90s or 10m, not ${JSON.stringify(given)}`)
}

/** The value of an option that takes one, or null. */
export function single(values: OptionValues, name: string): string | null {
  const given = values[name]
  return typeof given === 'string' ? given : null
}
