import type { Stack } from '../../config/config.ts'
import type { Variables } from '../../config/file/interpolate.ts'
import { DriftwatchError } from '../../errors.ts'

/** What the variables of the runbook's scripts ask of a command that writes. */
export interface RunbookVariables {
  readonly dryRun: boolean
  readonly image: string | null
  readonly noTraffic: boolean
  readonly receipt: string | null
  /** Whether role grants count in the check at the end. */
  readonly verifiesRoles: boolean
  /** Whether there is a check at the end. */
  readonly verifiesImages: boolean
}

/** Variables that the config may take: where it does not, the command would write to something else than was meant. */
const places = {
  GCP_PROJECT: (stack: Stack) => stack.project,
  GCP_REGION: (stack: Stack) => stack.region,
  RUNTIME_SERVICE: (stack: Stack) => stack.service.name,
  MIGRATE_JOB: (stack: Stack) => stack.job?.name ?? null,
  EXPECTED_IMAGE: (stack: Stack) => stack.service.expectedImage,
  DB_URL: (stack: Stack) => stack.database?.url.reveal() ?? null,
} as const satisfies Record<string, (stack: Stack) => string | null>

/** Values that hold a password are not shown. */
const secret = new Set(['DB_URL'])

/** The roles of the script that applied role isolation. A config names its roles as keys, which take no variables. */
const roleVariables = ['RUNTIME_OWNER_ROLE', 'RUNTIME_RW_ROLE', 'SPACETIME_RO_ROLE', 'CONTROL_RW_ROLE'] as const

const refusedVariables = {
  RUNTIME_DEPLOY_EXTRA_ARGS:
    'its words are arguments of gcloud, which is not called here: set on the service what they set (gcloud run services update), and unset it',
  MIGRATION_EVAL: 'what a migration runs is job.command of the config: write it there, and unset it',
} as const

/**
 * Reads them, an empty one being unset. Throws USAGE with a sentence for each that cannot mean here what it means in the
 * runbook: nothing is ignored in silence.
 */
export function readRunbookVariables(variables: Variables, stack: Stack): RunbookVariables {
  const faults = [...refusals(variables), ...elsewhere(variables, stack)]
  return withoutFaults(faults, {
    dryRun: readFlag('DRY_RUN', false, variables, faults),
    image: variables.IMAGE || null,
    noTraffic: readFlag('DEPLOY_NO_TRAFFIC', false, variables, faults),
    receipt: variables.RECEIPT_PATH || null,
    verifiesRoles: readFlag('VERIFY_DB_ROLE_ISOLATION', true, variables, faults),
    verifiesImages: readFlag('VERIFY_IMAGE_ALIGNMENT', true, variables, faults),
  })
}

/** The same for a command that writes to the database alone: whether it is a dry run. */
export function readDryRun(variables: Variables, stack: Stack): boolean {
  const faults = elsewhere(variables, stack)
  return withoutFaults(faults, readFlag('DRY_RUN', false, variables, faults))
}

function withoutFaults<T>(faults: readonly string[], read: T): T {
  if (faults.length > 0) throw new DriftwatchError('USAGE', faults.join('\n'))
  return read
}

function readFlag(name: string, fallback: boolean, variables: Variables, faults: string[]): boolean {
  const value = variables[name]
  if (!value) return fallback
  if (value === '1' || value === '0') return value === '1'
  faults.push(`${name} is 1 or 0, not ${JSON.stringify(value)}`)
  return fallback
}

function refusals(variables: Variables): string[] {
  return Object.entries(refusedVariables).flatMap(([name, why]) =>
    variables[name] ? [`${name} cannot be honoured: ${why}`] : [],
  )
}

function elsewhere(variables: Variables, stack: Stack): string[] {
  return [...otherPlaces(variables, stack), ...otherRoles(variables, stack)]
}

function otherRoles(variables: Variables, { name: stack, database }: Stack): string[] {
  if (!database) return []
  return roleVariables.flatMap(name => {
    const role = variables[name]
    if (!role || Object.hasOwn(database.roles, role)) return []
    return [
      `${name} is ${role}, and stack ${stack} of the config has no such role: name it in database.roles, or unset it`,
    ]
  })
}

function otherPlaces(variables: Variables, stack: Stack): string[] {
  return Object.entries(places).flatMap(([name, of]) => {
    const [asked, configured] = [variables[name], of(stack)]
    if (!asked || asked === configured) return []
    if (secret.has(name))
      return [`${name} is not the database of stack ${stack.name}: let the config take \${${name}}, or unset it`]
    return [
      `${name} is ${asked}, and stack ${stack.name} of the config has ${configured ?? 'none'}: let the config take \${${name}}, or unset it`,
    ]
  })
}
