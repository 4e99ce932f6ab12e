import { parseArgs } from 'node:util'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import { version } from '../version.ts'
import type { Command, CommandIo } from './command.ts'

/** Each command is loaded when it is called: none pays for another. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.ts')).serve,
  check: async () => (await import('./check.ts')).check,
  config: async () => (await import('./config.ts')).config,
}

const help = `Driftwatch says whether a Cloud Run release stack is what it is meant to be.

Usage
  driftwatch <command> [--config FILE] [options]

Which command do I want?
  serve     watch all the time; answer curl /drift, Prometheus and uptime checks
  check     look once, print what is found, and exit 0 only when all is in sync
  config    is my config right, and what does it come to?

Where does the config come from?
  --config FILE, else $DRIFTWATCH_CONFIG, else ./driftwatch.yaml

  driftwatch <command> --help     tells more of a command
  driftwatch --version            prints the version
`

/** Runs the command line `argv` (without node and script); resolves with the exit code. Errors are one sentence on stderr. */
export async function runCli(argv: readonly string[], io: CommandIo): Promise<number> {
  const [name, ...rest] = argv
  try {
    if (name === '--version') return print(io, `${version}\n`)
    if (name === '--help' || name === '-h' || name === 'help') return print(io, help)
    if (name === undefined) throw new DriftwatchError('USAGE', `which command?\n\n${help}`)
    const load = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (!load) throw new DriftwatchError('USAGE', unknownCommand(name))
    return await runCommand(name, await load(), rest, io)
  } catch (thrown) {
    const error = asDriftwatchError(thrown)
    io.stderr.write(`driftwatch: ${error.message.trimEnd()}\n`)
    if (error.code === 'BUG') io.stderr.write(`${error.stack}\nThis is a bug of Driftwatch: please report it.\n`)
    return 1
  }
}

async function runCommand(name: string, command: Command, argv: readonly string[], io: CommandIo): Promise<number> {
  const values = parseOptions(name, command, argv)
  return values.help ? print(io, command.help) : command.run(values, io)
}

function parseOptions(name: string, { options }: Command, argv: readonly string[]) {
  try {
    const known = { ...options, config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const
    return parseArgs({ args: [...argv], options: known, strict: true }).values
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new DriftwatchError('USAGE', `${name}: ${message} (driftwatch ${name} --help lists the options)`)
  }
}

function unknownCommand(name: string): string {
  return `there is no command ${JSON.stringify(name)}: it is one of ${Object.keys(commands).join(', ')} (driftwatch --help tells more)`
}

function print({ stdout }: CommandIo, text: string): number {
  stdout.write(text)
  return 0
}
