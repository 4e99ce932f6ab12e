import { readFileSync } from 'node:fs'
import type { ParseArgsOptionsConfig } from 'node:util'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { maskUrl } from '../config/mask.ts'
import { createSecret, type Secret } from '../config/secret.ts'
import { DriftwatchError } from '../errors.ts'
import { type GrantsPlan, renderPlan } from '../grants/plan/plan.ts'
import { discoverOnce } from '../operate/discovered-config.ts'
import { applyGrants } from '../operate/grants/grants-apply.ts'
import type { DatabaseStack, GrantsJob } from '../operate/grants/grants-database.ts'
import { counted, countStatements, operatorOf, planStackGrants } from '../operate/grants/grants-plan.ts'
import { renderSnapshot, snapshotStackGrants } from '../operate/grants/grants-snapshot.ts'
import { readDryRun } from '../operate/rollout/runbook-variables.ts'
import { shown } from '../printable.ts'
import {
  type Command,
  type CommandGroup,
  type CommandIo,
  type OptionValues,
  repeated,
  single,
  tellError,
} from './command.ts'
import { askConsent } from './confirmation.ts'

const exits = { done: 0, left: 2 } as const

const stackOption = { stack: { type: 'string' } } as const satisfies ParseArgsOptionsConfig
const adminOption = { 'admin-url-file': { type: 'string' } } as const satisfies ParseArgsOptionsConfig

const plan: Command = {
  help: `Usage
  driftwatch grants plan [--config FILE] [--stack NAME] [--as ROLE] [--admin-url-file FILE]

What does it do?
  It prints the SQL that makes the database what its policy says, in order, each statement with its reason, as one
  transaction for psql. Nothing is printed when there is nothing to do, and nothing is changed.

Who will run it?
  --as ROLE         a role of the database. A managed server's admin, who is no superuser, needs other statements: it takes
                    the roles that it acts as, and gives them back. What it cannot do stands at the top, as comments
  Left out: whoever $DB_ADMIN_URL or --admin-url-file logs in as; without these, some superuser.

How does it look?
  With the config's database.url, which needs no right but CONNECT.
  --stack NAME      which stack; needed where several have a database

How does it end?
  0  in sync: nothing to do
  1  unknown: the database could not be looked at, or the config or the command line is wrong
  2  drifted: there are statements to run, or differences that no statement mends
`,
  options: { ...stackOption, ...adminOption, as: { type: 'string' } },
  async run(values, io) {
    const { job, environment } = await readJob('plan', values, io)
    assertPolicy(job)
    const adminUrl = readAdminUrl(values, environment)
    const made = await planStackGrants(job, single(values, 'as') ?? (adminUrl && operatorOf(adminUrl)))
    io.stdout.write(renderPlan(made))
    io.stderr.write(`${job.stack.name}: ${summarise(made)}\n`)
    return isNothing(made) ? exits.done : exits.left
  },
}

const apply: Command = {
  help: `Usage
  driftwatch grants apply [--config FILE] [--stack NAME] [--admin-url-file FILE] [--dry-run] [--yes]

What does it do?
  1. looks at the database as the operator, and shows the statements that make it what its policy says, and what the
     operator cannot do
  2. asks; where there is no terminal it is refused, unless --yes agrees beforehand
  3. runs exactly these statements in one transaction. It is rolled back where the database has changed in between, where
     a statement fails, and where anything is left but what 1 said that the operator cannot do
  4. looks again, as the monitor, and fails if anything is left
  --dry-run         stops after 1; DRY_RUN=1 means the same
  --yes             agrees beforehand

Who is the operator?
  --admin-url-file FILE   a file with the URL of a superuser, or of a managed server's admin: a role with CREATEROLE that
                          made the roles of the policy. Else $DB_ADMIN_URL. It must lead to the config's database, on
                          the same server: a copy of it is refused
  --stack NAME            which stack; needed where several have a database

How does it end?
  0  done, and in sync
  1  refused, interrupted, not agreed to, or the database could not be looked at: the sentence says what stands
  2  a statement failed and all was rolled back, or something is left
`,
  options: {
    ...stackOption,
    ...adminOption,
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
        'grants apply: no URL of an operator: set DB_ADMIN_URL, or name a file with --admin-url-file',
      )
    const dryRun = readDryRun(environment.variables, job.stack) || values['dry-run'] === true
    const title = `driftwatch grants apply ${job.stack.name}`
    const results = dryRun ? io.stdout : io.stderr
    const left = await orFailedStep(
      applyGrants({
        ...job,
        adminUrl,
        dryRun,
        show: made => results.write(renderPlan(made) || `${job.stack.name}: ${summarise(made)}\n`),
        agree: steps => askConsent(steps, { io, title, dryRun, yes: values.yes === true }),
        say: line => io.stderr.write(`${shown(line)}\n`),
      }),
      io,
    )
    if (left === null) return exits.left
    for (const line of left) io.stdout.write(`left: ${line}\n`)
    return left.length === 0 ? exits.done : exits.left
  },
}

const snapshot: Command = {
  help: `Usage
  driftwatch grants snapshot [--config FILE] [--stack NAME] [--schema NAME]...

What does it do?
  It prints the policy that the database has now, as it stands under \`database\` in a config, so that a team can begin
  from what is. By that policy nothing drifts, but for what no policy can say: that is told in comments at the top.
  Superusers are trusted, and so is the owner of the database where its rights cannot be said otherwise.

Of what?
  --schema NAME     this schema; may be repeated. Left out: those that the config names, or else all
  --stack NAME      which stack; needed where several have a database
  It looks with the config's database.url: a config with that and no policy is enough.
`,
  options: { ...stackOption, schema: { type: 'string', multiple: true } },
  async run(values, io) {
    const { job } = await readJob('snapshot', values, io)
    const taken = await snapshotStackGrants(job, repeated(values, 'schema'))
    io.stdout.write(renderSnapshot(taken))
    const { unsayable } = taken
    if (unsayable.length > 0)
      io.stderr.write(`${job.stack.name}: ${counted(unsayable.length, 'thing')} cannot be said in a policy\n`)
    return exits.done
  },
}

export const grants: CommandGroup = {
  help: `Usage
  driftwatch grants plan      [--stack NAME]         the SQL that makes the database what its policy says
  driftwatch grants apply     [--stack NAME]         runs it, as an operator, after asking
  driftwatch grants snapshot  [--schema NAME]...     the policy that the database has now

  driftwatch grants <command> --help     tells more of one
`,
  commands: { plan, apply, snapshot },
}

async function readJob(
  command: string,
  values: OptionValues,
  io: CommandIo,
): Promise<{ job: GrantsJob; environment: Environment }> {
  const environment = readEnvironment(io.variables)
  const loaded = loadConfig({ file: single(values, 'config') ?? environment.configFile, environment })
  const { config } = await discoverOnce(loaded, { environment, clock: io.clock })
  const stack = selectStack(command, config.stacks.filter(hasDatabase), single(values, 'stack'))
  return { job: { stack, timeoutMs: config.timeoutMs, clock: io.clock, signal: io.signal }, environment }
}

/** By a policy that says nothing every superuser would be one too many. */
function assertPolicy({ stack: { name, database } }: GrantsJob): void {
  if (Object.keys(database.roles).length + Object.keys(database.schemas).length > 0) return
  throw new DriftwatchError(
    'USAGE',
    `stack ${name} has no policy: ` +
      'give it `database.roles` and `database.schemas` (driftwatch grants snapshot writes what there is)',
  )
}

function hasDatabase(stack: { readonly database: unknown }): stack is DatabaseStack {
  return stack.database !== null
}

function selectStack(command: string, stacks: readonly DatabaseStack[], name: string | null): DatabaseStack {
  const names = stacks.map(stack => stack.name).join(', ') || 'none'
  if (name === null && stacks.length > 1)
    throw new DriftwatchError('USAGE', `grants ${command}: --stack is missing: ${names} have a database`)
  const stack = name === null ? stacks[0] : stacks.find(each => each.name === name)
  if (stack) return stack
  const asked = name === null ? 'no stack' : `no stack ${JSON.stringify(name)}`
  throw new DriftwatchError(
    'STACK_NOT_FOUND',
    `the config has ${asked} with a \`database.url\`: those that have one: ${names}`,
  )
}

/** Throws USAGE where the file cannot be read. A URL that is none is told of without repeating it. */
function readAdminUrl(values: OptionValues, { adminUrl }: Environment): Secret | null {
  const file = single(values, 'admin-url-file')
  if (file === null) return adminUrl
  try {
    const url = readFileSync(file, 'utf8').trim()
    return createSecret(url, maskUrl(url))
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw new DriftwatchError('USAGE', `--admin-url-file: ${file} cannot be read: ${why}`, { cause })
  }
}

/** A step that failed is proven, and no lack of knowledge. */
async function orFailedStep<Value>(done: Promise<Value>, io: CommandIo): Promise<Value | null> {
  try {
    return await done
  } catch (thrown) {
    if (!(thrown instanceof DriftwatchError) || thrown.code !== 'STEP_FAILED') throw thrown
    tellError(io, thrown)
    return null
  }
}

function isNothing({ steps, impossible }: GrantsPlan): boolean {
  return steps.length === 0 && impossible.length === 0
}

function summarise(made: GrantsPlan): string {
  if (isNothing(made)) return 'in sync: nothing to do'
  const cannot =
    made.impossible.length > 0 ? `, and ${counted(made.impossible.length, 'difference')} that cannot be mended` : ''
  return `${countStatements(made)} to run${cannot}`
}
