import type { Stack } from '../../config/config.ts'
import type { Variables } from '../../config/file/interpolate.ts'
import { DriftwatchError } from '../../errors.ts'

/** Options for a command that writes, from the environment variables of the runbook's scripts. */
export interface RunbookVariables {
  readonly dryRun: boolean
  readonly image: string | null
  readonly noTraffic: boolean
  readonly receipt: string | null
  /** Whether the final check includes role grants. */
  readonly verifiesRoles: boolean
  /** Whether a deploy ends with the gate. */
  readonly verifiesImages: boolean
}

/** Variables that the configuration may refer to. If a value differs from the configuration, the target is ambiguous. */
const targets = {
  GCP_PROJECT: (stack: Stack) => stack.project,
  GCP_REGION: (stack: Stack) => stack.region,
  RUNTIME_SERVICE: (stack: Stack) => stack.service.name,
  MIGRATE_JOB: (stack: Stack) => stack.job?.name ?? null,
  EXPECTED_IMAGE: (stack: Stack) => stack.service.expectedImage,
  DB_URL: (stack: Stack) => stack.database?.url.reveal() ?? null,
} as const satisfies Record<string, (stack: Stack) => string | null>

/** The role variables of the runbook's scripts. In a configuration roles are keys, which cannot refer to variables. */
const roleVariables = ['RUNTIME_OWNER_ROLE', 'RUNTIME_RW_ROLE', 'SPACETIME_RO_ROLE', 'CONTROL_RW_ROLE'] as const

const unsupported = {
  RUNTIME_DEPLOY_EXTRA_ARGS:
    'this command does not call gcloud. Configure the service with "gcloud run services update", and unset the variable.',
  MIGRATION_EVAL: 'a migration runs job.command of the configuration. Set that, and unset the variable.',
} as const

/** An empty variable counts as unset. Throws USAGE with a line for each variable that cannot be applied; none is ignored. */
export function readRunbookVariables(variables: Variables, stack: Stack): RunbookVariables {
  const problems = [...unsupportedVariables(variables), ...conflicts(variables, stack)]
  return assertNoProblems(problems, {
    dryRun: readFlag('DRY_RUN', false, variables, problems),
    image: variables.IMAGE || null,
    noTraffic: readFlag('DEPLOY_NO_TRAFFIC', false, variables, problems),
    receipt: variables.RECEIPT_PATH || null,
    verifiesRoles: readFlag('VERIFY_DB_ROLE_ISOLATION', true, variables, problems),
    verifiesImages: readFlag('VERIFY_IMAGE_ALIGNMENT', true, variables, problems),
  })
}

/** Whether a command that writes only to the database is a dry run. Throws USAGE like `readRunbookVariables`. */
export function readDryRun(variables: Variables, stack: Stack): boolean {
  const problems = conflicts(variables, stack)
  return assertNoProblems(problems, readFlag('DRY_RUN', false, variables, problems))
}

function assertNoProblems<T>(problems: readonly string[], result: T): T {
  if (problems.length > 0) throw new DriftwatchError('USAGE', problems.join('\n'))
  return result
}

function readFlag(name: string, fallback: boolean, variables: Variables, problems: string[]): boolean {
  const value = variables[name]
  if (!value) return fallback
  if (value === '1' || value === '0') return value === '1'
  problems.push(`invalid ${name} ${JSON.stringify(value)}: expected 1 or 0`)
  return fallback
}

function unsupportedVariables(variables: Variables): string[] {
  return Object.entries(unsupported).flatMap(([name, reason]) =>
    variables[name] ? [`${name} is not supported: ${reason}`] : [],
  )
}

function conflicts(variables: Variables, stack: Stack): string[] {
  return [...targetConflicts(variables, stack), ...roleConflicts(variables, stack)]
}

function roleConflicts(variables: Variables, { name: stack, database }: Stack): string[] {
  if (!database) return []
  return roleVariables.flatMap(name => {
    const role = variables[name]
    if (!role || Object.hasOwn(database.roles, role)) return []
    return [`${name} is ${role}, but stack ${stack} has no such role. Add it to database.roles, or unset the variable.`]
  })
}

function targetConflicts(variables: Variables, stack: Stack): string[] {
  const remedy = (name: string) => `Use \${${name}} in the configuration, or unset the variable.`
  return Object.entries(targets).flatMap(([name, readTarget]) => {
    const [value, configured] = [variables[name], readTarget(stack)]
    if (!value || value === configured) return []
    // The value contains a password.
    if (name === 'DB_URL') return [`${name} is not the configured database of stack ${stack.name}. ${remedy(name)}`]
    return [
      `${name} is ${value}, but stack ${stack.name} is configured with ${configured ?? '(none)'}. ${remedy(name)}`,
    ]
  })
}
