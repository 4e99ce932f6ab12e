import { parseArgs } from 'node:util'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import { didYouMean } from '../suggestion.ts'
import { version } from '../version.ts'
import { type Command, type CommandGroup, type CommandIo, printError } from './command.ts'

/** A command's module is loaded only when the command runs. */
const commands: Readonly<Record<string, () => Promise<Command | CommandGroup>>> = {
  serve: async () => (await import('./serve.ts')).serve,
  check: async () => (await import('./check.ts')).check,
  migrate: async () => (await import('./migrate.ts')).migrate,
  deploy: async () => (await import('./deploy.ts')).deploy,
  grants: async () => (await import('./grants.ts')).grants,
  config: async () => (await import('./config.ts')).config,
  alerts: async () => (await import('./alerts.ts')).alerts,
}

const help = `Driftwatch detects drift in Cloud Run release stacks.

Usage
  driftwatch <command> [--config FILE] [options]

Which command do I need?
  serve     run the checks on a schedule, and serve /drift, /metrics and a gate over HTTP
  check     run the checks once and print the report. The exit code is 0 only when every check is in sync
  migrate   pin the migration job to the image in service, run it, and check again
  deploy    deploy an image, run the migration with it, check the result, and optionally write a receipt
  grants    plan and apply the role grants of a database, or print its current policy
  config    validate the configuration and print the resolved values
  alerts    plan and apply the alert policies in Cloud Monitoring

Which configuration file is used?
  --config FILE, or $DRIFTWATCH_CONFIG, or ./driftwatch.yaml, in this order

More help
  driftwatch <command> --help     describes one command
  driftwatch --version            prints the version
`

/** Runs the command line `argv` (without node and script) and resolves with the exit code. Errors go to stderr. */
export async function runCli(argv: readonly string[], io: CommandIo): Promise<number> {
  const [name, ...rest] = argv
  try {
    if (name === '--version') return print(io, `${version}\n`)
    if (name === '--help' || name === '-h' || name === 'help') return print(io, help)
    if (name === undefined) throw new DriftwatchError('USAGE', `missing command\n\n${help}`)
    const load = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (load) return await run(name, await load(), rest, io)
    throw unknownCommand(name, Object.keys(commands), 'driftwatch --help')
  } catch (thrown) {
    printError(io, asDriftwatchError(thrown))
    return 1
  }
}

async function run(name: string, command: Command | CommandGroup, argv: readonly string[], io: CommandIo) {
  if (!('commands' in command)) return runCommand(name, command, argv, io)
  const [inner, ...rest] = argv
  if (inner === '--help' || inner === '-h') return print(io, command.help)
  const known = Object.keys(command.commands)
  if (inner === undefined || inner.startsWith('-'))
    throw new DriftwatchError(
      'USAGE',
      `${name}: missing subcommand: expected one of ${known.join(', ')}\n\n${command.help}`,
    )
  const chosen = Object.hasOwn(command.commands, inner) ? command.commands[inner] : undefined
  const full = `${name} ${inner}`
  if (chosen) return runCommand(full, chosen, rest, io)
  throw unknownCommand(full, known, `driftwatch ${name} --help`)
}

/** The last word of `name` is the unknown one. */
function unknownCommand(name: string, known: readonly string[], more: string): DriftwatchError {
  const suggestion = didYouMean(name.split(' ').at(-1) ?? '', known) || '.'
  const message = `unknown command ${JSON.stringify(name)}: expected one of ${known.join(', ')}`
  return new DriftwatchError('USAGE', `${message}${suggestion} Run "${more}" for more.`)
}

async function runCommand(name: string, command: Command, argv: readonly string[], io: CommandIo): Promise<number> {
  const values = parseOptions(name, command, argv)
  return values.help ? print(io, command.help) : command.run(values, io)
}

function parseOptions(name: string, { options }: Command, argv: readonly string[]) {
  const known = { ...options, config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const
  try {
    return parseArgs({ args: [...argv], options: known, strict: true }).values
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const reason = unknownOption(message, Object.keys(known)) ?? `${message}.`
    throw new DriftwatchError('USAGE', `${name}: ${reason} Run "driftwatch ${name} --help" for the options.`)
  }
}

/** Node.js explains an unknown option by positional arguments, which no command takes. Null: another error. */
function unknownOption(message: string, known: readonly string[]): string | null {
  const option = /^Unknown option '(?<option>-[^']*)'/.exec(message)?.groups?.option
  if (option === undefined) return null
  const names = known.map(each => `--${each}`)
  return `unknown option ${JSON.stringify(option)}${didYouMean(option, names) || '.'}`
}

function print({ stdout }: CommandIo, text: string): number {
  stdout.write(text)
  return 0
}
