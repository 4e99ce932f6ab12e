import { readFileSync } from 'node:fs'
import { exitCodes } from '../checks/status.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { maskUrl } from '../config/mask.ts'
import { createSecret, type Secret } from '../config/secret.ts'
import { DriftwatchError } from '../errors.ts'
import { type GrantsPlan, renderPlan } from '../grants/plan/plan.ts'
import { discoverOnce } from '../operate/discovered-config.ts'
import { applyGrants } from '../operate/grants/grants-apply.ts'
import type { DatabaseStack, GrantsJob } from '../operate/grants/grants-database.ts'
import { countStatements, formatCount, operatorOf, planStackGrants } from '../operate/grants/grants-plan.ts'
import { renderSnapshot, snapshotStackGrants } from '../operate/grants/grants-snapshot.ts'
import { readDryRun } from '../operate/rollout/runbook-variables.ts'
import { shown } from '../printable.ts'
import { driftwatchCommands } from '../remedies/driftwatch-commands.ts'
import { didYouMean } from '../suggestion.ts'
import {
  type Command,
  type CommandGroup,
  type CommandIo,
  type OptionValues,
  printError,
  repeated,
  single,
} from './command.ts'
import { confirmSteps } from './confirmation.ts'

const plan: Command = {
  help: `Usage
  driftwatch grants plan [--config FILE] [--stack NAME] [--as ROLE] [--admin-url-file FILE]

What does it do?
  It compares the database with its policy and prints the SQL that fixes the differences, as one transaction for psql.
  Each statement has a comment with its reason. The command changes nothing, and prints nothing if there are no
  differences.

Which role will run the SQL?
  --as ROLE         the database role that will run it. For a role that is not a superuser, such as the admin of a
                    managed server, the SQL grants it temporary memberships and revokes them. Differences that the
                    role cannot fix are listed at the top, as comments
  The default is the user in $DB_ADMIN_URL or --admin-url-file, or else a superuser.

Which connection does it use?
  The database.url of the configuration. Its role needs only the CONNECT privilege.
  --stack NAME      the stack; required if several stacks have a database

What are the exit codes?
  0  in sync: no differences
  1  unknown: the database could not be read, or the configuration or the command line is invalid
  2  drifted: there are statements to run, or differences that no statement can fix
`,
  options: { stack: { type: 'string' }, 'admin-url-file': { type: 'string' }, as: { type: 'string' } },
  async run(values, io) {
    const { job, environment } = await readJob('plan', values, io)
    assertPolicy(job)
    const adminUrl = readAdminUrl(values, environment)
    const planned = await planStackGrants(job, single(values, 'as') ?? (adminUrl && operatorOf(adminUrl)))
    io.stdout.write(renderPlan(planned))
    io.stderr.write(`${job.stack.name}: ${summarise(planned)}\n`)
    return isEmpty(planned) ? exitCodes.in_sync : exitCodes.drifted
  },
}

const apply: Command = {
  help: `Usage
  driftwatch grants apply [--config FILE] [--stack NAME] [--admin-url-file FILE] [--dry-run] [--yes]

What does it do?
  1. reads the database as the operator, and prints the SQL that fixes the differences from the policy, and the
     differences that the operator cannot fix
  2. asks for confirmation
  3. runs exactly these statements in one transaction. The transaction is rolled back if the database has changed since
     step 1, if a statement fails, or if a difference remains that step 1 did not announce
  4. reads the database again as the monitor, and reports the remaining differences
  --dry-run         stop after step 1. DRY_RUN=1 is equivalent
  --yes             do not ask for confirmation. Required in a non-interactive shell

Who is the operator?
  --admin-url-file FILE   a file with the URL of a superuser, or of the admin of a managed server: a role with
                          CREATEROLE that created the roles of the policy. The default is $DB_ADMIN_URL. The URL must
                          point to the configured database on the same server; a copy is refused
  --stack NAME            the stack; required if several stacks have a database

What are the exit codes?
  0  done, and in sync
  1  refused, interrupted, not confirmed, or the database could not be read; the message says what was changed
  2  a statement failed and the transaction was rolled back, or differences remain
`,
  options: {
    stack: { type: 'string' },
    'admin-url-file': { type: 'string' },
    'dry-run': { type: 'boolean' },
    yes: { type: 'boolean', short: 'y' },
  },
  async run(values, io) {
    const { job, environment } = await readJob('apply', values, io)
    assertPolicy(job)
    const adminUrl = readAdminUrl(values, environment)
    if (!adminUrl)
      throw new DriftwatchError(
        'USAGE',
        'grants apply: the URL of an operator is missing. Set DB_ADMIN_URL, or pass --admin-url-file.',
      )
    const dryRun = readDryRun(environment.variables, job.stack) || values['dry-run'] === true
    const title = `driftwatch grants apply ${job.stack.name}`
    const results = dryRun ? io.stdout : io.stderr
    const remaining = await applyGrants({
      ...job,
      adminUrl,
      dryRun,
      show: planned => results.write(renderPlan(planned) || `${job.stack.name}: ${summarise(planned)}\n`),
      confirm: steps => confirmSteps(steps, { io, title, dryRun, yes: values.yes === true }),
      print: line => io.stderr.write(`${shown(line)}\n`),
    }).catch(thrown => {
      if (!(thrown instanceof DriftwatchError) || thrown.code !== 'STEP_FAILED') throw thrown
      printError(io, thrown)
    })
    // A failed step exits with 2 and not, like other errors, with 1.
    if (!remaining) return exitCodes.drifted
    for (const line of remaining) io.stdout.write(`remaining: ${line}\n`)
    return remaining.length === 0 ? exitCodes.in_sync : exitCodes.drifted
  },
}

const snapshot: Command = {
  help: `Usage
  driftwatch grants snapshot [--config FILE] [--stack NAME] [--schema NAME]...

What does it do?
  It prints a policy that matches the current state of the database, as YAML for \`database\` in the configuration. Use
  it as a starting point. Grants that a policy cannot express are listed as comments at the top. Superusers are listed
  as trusted, and so is the owner of the database if its rights cannot be expressed otherwise.

What does it read?
  --schema NAME     this schema; repeatable. The default is the schemas of the configuration, or all schemas
  --stack NAME      the stack; required if several stacks have a database
  It connects with database.url. The configuration does not need a policy yet.
`,
  options: { stack: { type: 'string' }, schema: { type: 'string', multiple: true } },
  async run(values, io) {
    const { job } = await readJob('snapshot', values, io)
    const current = await snapshotStackGrants(job, repeated(values, 'schema'))
    io.stdout.write(renderSnapshot(current))
    const { length } = current.inexpressible
    if (length > 0) io.stderr.write(`${job.stack.name}: a policy cannot express ${formatCount(length, 'grant')}\n`)
    return exitCodes.in_sync
  },
}

export const grants: CommandGroup = {
  help: `Usage
  driftwatch grants plan      [--stack NAME]         print the SQL that makes the database match its policy
  driftwatch grants apply     [--stack NAME]         run that SQL as an operator, after confirmation
  driftwatch grants snapshot  [--schema NAME]...     print a policy that matches the database

  driftwatch grants <command> --help     describes one command
`,
  commands: { plan, apply, snapshot },
}

async function readJob(command: string, values: OptionValues, io: CommandIo) {
  const environment = readEnvironment(io.variables, single(values, 'config'))
  const loaded = loadConfig({ file: environment.configFile, environment })
  const { config } = await discoverOnce(loaded, { environment, clock: io.clock })
  const stacks = config.stacks.filter((stack): stack is DatabaseStack => stack.database !== null)
  const stack = selectStack(command, stacks, single(values, 'stack'))
  const commands = driftwatchCommands(environment.configOption)
  const job: GrantsJob = { stack, commands, timeoutMs: config.timeoutMs, clock: io.clock, signal: io.signal }
  return { job, environment }
}

/** Judged by an empty policy, every superuser would be a difference. */
function assertPolicy({ stack, commands }: GrantsJob): void {
  const { name, database } = stack
  if (Object.keys(database.roles).length + Object.keys(database.schemas).length > 0) return
  throw new DriftwatchError(
    'USAGE',
    `stack ${name} has no policy. Add \`database.roles\` and \`database.schemas\`; "${commands.grants('snapshot', stack)}" prints the current ones.`,
  )
}

function selectStack(command: string, stacks: readonly DatabaseStack[], name: string | null): DatabaseStack {
  const names = stacks.map(stack => JSON.stringify(stack.name)).join(', ') || 'none'
  if (name === null && stacks.length > 1)
    throw new DriftwatchError(
      'USAGE',
      `grants ${command}: --stack is required. Stacks with a \`database.url\`: ${names}.`,
    )
  const stack = name === null ? stacks[0] : stacks.find(each => each.name === name)
  if (stack) return stack
  const wanted = name === null ? 'stack' : `stack ${JSON.stringify(name)}`
  const suggestion =
    name === null
      ? ''
      : didYouMean(
          name,
          stacks.map(each => each.name),
        )
  throw new DriftwatchError(
    'STACK_NOT_FOUND',
    `no ${wanted} with a \`database.url\`; stacks that have one: ${names}${suggestion}`,
  )
}

/** Throws USAGE if the file cannot be read. Errors about an invalid URL do not quote it. */
function readAdminUrl(values: OptionValues, { adminUrl }: Environment): Secret | null {
  const file = single(values, 'admin-url-file')
  if (file === null) return adminUrl
  try {
    const url = readFileSync(file, 'utf8').trim()
    return createSecret(url, maskUrl(url))
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw new DriftwatchError('USAGE', `--admin-url-file: cannot read ${file}: ${reason}`, { cause })
  }
}

function isEmpty({ steps, impossible }: GrantsPlan): boolean {
  return steps.length === 0 && impossible.length === 0
}

function summarise(planned: GrantsPlan): string {
  if (isEmpty(planned)) return 'in sync: no differences'
  const { length } = planned.impossible
  const unfixable = length > 0 ? `, and ${formatCount(length, 'difference')} that cannot be fixed` : ''
  return `${countStatements(planned)} to run${unfixable}`
}
