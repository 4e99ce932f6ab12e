import { parseArgs } from 'node:util'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import { version } from '../version.ts'
import { type Command, type CommandGroup, type CommandIo, tellError } from './command.ts'

/** Each command is loaded when it is called: none pays for another. */
const commands: Readonly<Record<string, () => Promise<Command | CommandGroup>>> = {
  serve: async () => (await import('./serve.ts')).serve,
  check: async () => (await import('./check.ts')).check,
  migrate: async () => (await import('./migrate.ts')).migrate,
  deploy: async () => (await import('./deploy.ts')).deploy,
  grants: async () => (await import('./grants.ts')).grants,
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
  grants    plan, apply: make the database what its policy says; snapshot: write the policy that it has
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
    return await run(name, await load(), rest, io)
  } catch (thrown) {
    tellError(io, asDriftwatchError(thrown))
    return 1
  }
}

async function run(name: string, command: Command | CommandGroup, argv: readonly string[], io: CommandIo) {
  if (!('commands' in command)) return runCommand(name, command, argv, io)
  const [inner, ...rest] = argv
  if (inner === '--help' || inner === '-h') return print(io, command.help)
  const known = Object.keys(command.commands).join(', ')
  if (inner === undefined || inner.startsWith('-'))
    throw new DriftwatchError('USAGE', `${name}: which one: ${known}?\n\n${command.help}`)
  const chosen = Object.hasOwn(command.commands, inner) ? command.commands[inner] : undefined
  if (!chosen)
    throw new DriftwatchError(
      'USAGE',
      `there is no command ${JSON.stringify(`${name} ${inner}`)}: it is one of ${known}`,
    )
  return runCommand(`${name} ${inner}`, chosen, rest, io)
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
