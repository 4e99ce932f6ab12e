import { parseArgs } from 'node:util'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import { version } from '../version.ts'
import type { Command, CommandIo } from './command.ts'

/** Each command is loaded when it is called: none pays for another. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.ts')).serve,
  check: async () => (await import('./check.ts')).check,
  migrate: async () => (await import('./migrate.ts')).migrate,
  deploy: async () => (await import('./deploy.ts')).deploy,
  config: async () => (await import('./config.ts')).config,
  alerts: async () => (await import('./alerts.ts')).alerts,
}

const help = `Driftwatch says whether a Cloud Run release stack is what it is meant to be.

Usage
  driftwatch <command> [--config FILE] [options]

Which command do I want?
  serve     watch all the time; answer curl /drift, Prometheus and uptime checks
  check     look once, print what is found, and exit 0 only when all is in sync
  migrate   lock the migration job to the image that serves, run it, follow it, check again
  deploy    deploy an image, migrate with it, judge, and keep a receipt
  config    is my config right, and what does it come to?
  alerts    what does Cloud Monitoring lack to page somebody, and make it so

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
  const { values, positionals } = parseCommand(name, command, argv)
  if (values.help) return print(io, command.help)
  return command.run(values, io, readSubcommand(name, command, positionals))
}

function parseCommand(name: string, { options, subcommands }: Command, argv: readonly string[]) {
  try {
    const known = { ...options, config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const
    return parseArgs({ args: [...argv], options: known, strict: true, allowPositionals: subcommands !== undefined })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new DriftwatchError('USAGE', `${name}: ${message} (driftwatch ${name} --help lists the options)`)
  }
}

function readSubcommand(name: string, { subcommands }: Command, [word = '', ...more]: readonly string[]): string {
  if (!subcommands || (subcommands.includes(word) && more.length === 0)) return word
  const given = [word, ...more].join(' ')
  throw new DriftwatchError(
    'USAGE',
    `${name}: say ${subcommands.join(' or ')}, not ${JSON.stringify(given)} (driftwatch ${name} --help tells more)`,
  )
}

function unknownCommand(name: string): string {
  return `there is no command ${JSON.stringify(name)}: it is one of ${Object.keys(commands).join(', ')} (driftwatch --help tells more)`
}

function print({ stdout }: CommandIo, text: string): number {
  stdout.write(text)
  return 0
}
