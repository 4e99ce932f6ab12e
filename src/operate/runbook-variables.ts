import type { Variables } from '../config/interpolate.ts'
import type { Stack } from '../config/schema.ts'
import { DriftwatchError } from '../errors.ts'

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
  const flag = (name: string, fallback: boolean): boolean => {
    const value = variables[name]
    if (!value) return fallback
    if (value === '1' || value === '0') return value === '1'
    faults.push(`${name} is 1 or 0, not ${JSON.stringify(value)}`)
    return fallback
  }
  const read = {
    dryRun: flag('DRY_RUN', false),
    image: variables.IMAGE || null,
    noTraffic: flag('DEPLOY_NO_TRAFFIC', false),
    receipt: variables.RECEIPT_PATH || null,
    verifiesRoles: flag('VERIFY_DB_ROLE_ISOLATION', true),
    verifiesImages: flag('VERIFY_IMAGE_ALIGNMENT', true),
  }
  if (faults.length > 0) throw new DriftwatchError('USAGE', faults.join('\n'))
  return read
}

function refusals(variables: Variables): string[] {
  return Object.entries(refusedVariables).flatMap(([name, why]) =>
    variables[name] ? [`${name} cannot be honoured: ${why}`] : [],
  )
}

function elsewhere(variables: Variables, stack: Stack): string[] {
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
