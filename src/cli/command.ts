import type { ParseArgsOptionsConfig } from 'node:util'
import type { Clock } from '../clock.ts'
import type { Variables } from '../config/file/interpolate.ts'
import { maskText } from '../config/mask.ts'
import { parseDuration } from '../duration.ts'
import { DriftwatchError, type ErrorCode } from '../errors.ts'
import { shownLines } from '../printable.ts'

/** A stream for text output. */
export interface TextStream {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** The parts of the process that a command uses. */
export interface CommandIo {
  /** Reads confirmations if it is a terminal. */
  readonly stdin?: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  /** Results. */
  readonly stdout: TextStream
  /** Progress, prompts and errors. */
  readonly stderr: TextStream
  /** Environment variables; the default is those of the process. */
  readonly variables?: Variables
  readonly clock: Clock
  /** The version of Node.js, for example `v24.1.0`. */
  readonly nodeVersion: string
  /** Calls `listener` on each request to reload the configuration; returns a function that unsubscribes. */
  readonly onHangup?: (listener: () => void) => () => void
  /** Aborts on the first request to end. */
  readonly signal: AbortSignal
  /** Aborts on the second request to end. The process exits as soon as the listeners have returned. */
  readonly immediate?: AbortSignal
}

/** Option values as returned by `parseArgs` of Node.js. */
export type OptionValues = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

export interface Command {
  /** The output of `driftwatch <command> --help`. */
  readonly help: string
  readonly options: ParseArgsOptionsConfig
  /** Resolves with the exit code; rejects with a DriftwatchError. */
  run(values: OptionValues, io: CommandIo): Promise<number>
}

/** A command with subcommands, such as `driftwatch grants plan`. */
export interface CommandGroup {
  readonly help: string
  readonly commands: Readonly<Record<string, Command>>
}

/** Messages with these codes quote user input, which may contain a URL with a password. */
const quotingCodes: readonly ErrorCode[] = ['USAGE', 'STACK_NOT_FOUND', 'CHECK_NOT_FOUND', 'CONFIG_UNREADABLE']

/** Prints an error after its code; for a bug of Driftwatch also the stack trace. */
export function printError({ stderr }: Pick<CommandIo, 'stderr'>, error: DriftwatchError): void {
  const lines = error.message.trimEnd().split('\n')
  const masked = quotingCodes.includes(error.code) ? lines.map(maskText) : lines
  stderr.write(`driftwatch: ${error.code}: ${shownLines(masked.join('\n'))}\n`)
  if (error.code !== 'BUG') return
  const { stack, cause } = error
  const trace = cause instanceof Error ? cause.stack : stack
  stderr.write(`${shownLines(trace ?? '')}\nThis is a bug in Driftwatch. Please report it.\n`)
}

/** The values of a repeatable option. */
export function repeated(values: OptionValues, name: string): string[] {
  const given = values[name]
  return Array.isArray(given) ? given.map(String) : []
}

/** `--wait` in milliseconds, or null if absent. */
export function readWait(values: OptionValues): number | null {
  const given = single(values, 'wait')
  const waitMs = given === null ? null : parseDuration(given)
  if (given === null || waitMs !== null) return waitMs
  throw new DriftwatchError('USAGE', `invalid --wait ${JSON.stringify(given)}: expected a duration such as 90s or 10m`)
}

/** The value of an option, or null if absent. */
export function single(values: OptionValues, name: string): string | null {
  const given = values[name]
  return typeof given === 'string' ? given : null
}
