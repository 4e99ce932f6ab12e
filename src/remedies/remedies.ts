import type { CheckKind } from '../checks/check.ts'
import type { Difference } from '../checks/finding.ts'
import type { HttpContractConfig, HttpRequestConfig } from '../config/sections/http-contract.ts'
import { isPrintable } from '../printable.ts'
import { readFailures } from './gcloud.ts'
import { remedyImageLanes } from './image-lanes.ts'
import { remedyJobImage, remedyMigrationExecution, remedySchema, waitsForService } from './migration.ts'
import { decide, noRemedy, type Remedy, run } from './remedy.ts'
import { remedyServiceImage } from './service-image.ts'
import { formatCommand, type Pieces, shellQuote } from './shell.ts'
import { provenDifferences, type Situation } from './situation.ts'

/** Longer commands are omitted. */
const longestFix = 8000

const remedies: Readonly<Record<CheckKind, (situation: Situation) => Remedy>> = {
  'service-image': remedyServiceImage,
  'job-image': remedyJobImage,
  'migration-execution': remedyMigrationExecution,
  'role-grants': remedyRoleGrants,
  schema: remedySchema,
  'image-lanes': remedyImageLanes,
  'after-rollout': remedyAfterRollout,
  'http-contract': remedyHttpContract,
}

/**
 * The remedies of a stack, made from all its findings, so that they agree. Only a drifted check has one: what is pending
 * may still resolve itself, and what is unknown may be in sync. A check that was not judged in this cycle keeps the one
 * that it has, for its observations are missing, unless the service comes first by now.
 */
export function remedyStack(situation: Situation, judged: ReadonlySet<CheckKind>): ReadonlyMap<CheckKind, Remedy> {
  const { findings } = situation
  const decided = [...findings].flatMap(([check, { status, fix, advice }]): [CheckKind, Remedy][] => {
    if (status !== 'drifted') return [[check, noRemedy]]
    if (judged.has(check)) return [[check, pasteable(remedies[check](situation))]]
    return [[check, (migrates(check) && waitsForService(situation)) || { fix, advice }]]
  })
  return new Map(decided)
}

/** Whether a remedy of the check may run a migration. */
function migrates(check: CheckKind): boolean {
  return ['job-image', 'migration-execution', 'schema'].includes(check)
}

function pasteable(remedy: Remedy): Remedy {
  const { fix } = remedy
  if (fix === null || (fix.length <= longestFix && fix.split('\n').every(isPrintable))) return remedy
  return decide('The command is omitted: it is too long, or contains unprintable characters.')
}

function remedyRoleGrants({ stack, commands }: Situation): Remedy {
  return run(
    commands.grants('apply', stack),
    'Shows the SQL that makes the privileges match the policy, and runs it after confirmation. It connects with DB_ADMIN_URL, the URL of an operator.',
  )
}

function remedyAfterRollout(situation: Situation): Remedy {
  const { stack, observed } = situation
  const { services = [], window } = observed.telemetry ?? {}
  const differences = provenDifferences(situation, 'after-rollout')
  const worst = services.find(({ service }) => differences.some(({ path }) => path.startsWith(`${service}.`)))
  const advice = 'The errors began with the rollout. Find their reason in the log, then decide whether to roll back.'
  return worst && window ? run(readFailures(stack, worst.service, window), advice) : decide(advice)
}

/** A fix repeats at most this many requests. */
const mostRequests = 5

function remedyHttpContract(situation: Situation): Remedy {
  const { httpContract } = situation.stack
  const names = new Set(provenDifferences(situation, 'http-contract').map(requestOf))
  const broken = httpContract?.requests.filter(({ name }) => names.has(name)) ?? []
  const advice =
    'Repeats the failing requests to show the complete responses. Fix the service, or the contract if it is outdated.'
  return httpContract
    ? run(
        broken.slice(0, mostRequests).map(each => sendRequest(httpContract, each)),
        advice,
      )
    : decide(advice)
}

/** The request of the contract that a difference is about. */
function requestOf({ path }: Difference): string | undefined {
  return /^[^.#]*/.exec(path)?.[0]
}

/** Sends a request of the contract. The user provides the token. */
function sendRequest(
  { url, bearerToken, identityTokenAudience }: HttpContractConfig,
  { path }: HttpRequestConfig,
): string {
  const token = identityTokenAudience
    ? `$(gcloud auth print-identity-token --audiences=${shellQuote(identityTokenAudience)})`
    : bearerToken && '$TOKEN'
  const header = token === null ? '' : ` -H "Authorization: Bearer ${token}"`
  return `curl -sS -i${header} ${formatCommand(splitQuery(url + path))}`
}

/** The values of a query as secrets, and parameters without a value. */
function splitQuery(url: string): Pieces {
  const at = url.indexOf('?') + 1
  if (at === 0) return [url]
  const pieces = [url.slice(0, at)]
  for (const [index, parameter] of url.slice(at).split('&').entries()) {
    const value = parameter.indexOf('=') + 1
    const before = `${pieces.pop()}${index === 0 ? '' : '&'}${parameter.slice(0, value)}`
    pieces.push(before, parameter.slice(value), '')
  }
  return pieces
}
