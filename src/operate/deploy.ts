import { randomUUID } from 'node:crypto'
import { failure } from '../checks/cloud-run-parts.ts'
import {
  describeService,
  migrateStack,
  sendTrafficTo,
  sendTrafficToLatest,
  setJobImage,
  updateService,
} from '../checks/fix.ts'
import type { Config, Stack } from '../config/schema.ts'
import type { Report } from '../drift/report.ts'
import { formatDuration } from '../duration.ts'
import { DriftwatchError } from '../errors.ts'
import { parseImage, pinnedImage } from '../release/image.ts'
import { type DeployPlan, describeDeploy, planDeploy } from './deploy-plan.ts'
import { judgeDatabase, judgeGate, type Verdict } from './gate.ts'
import { carryOut, checkAgain, exitCodes, failed, lookBefore } from './migrate.ts'
import { type JobStack, planMigration, usableJob } from './migration-plan.ts'
import { interrupted, type Operation } from './operation.ts'
import type { PlannedStep } from './plan.ts'
import type { Sight } from './sight.ts'
import { waitUntil } from './wait.ts'

export interface DeployRequest {
  readonly image: string
  readonly noTraffic: boolean
  /** Whether there is a gate at the end. */
  readonly gate: boolean
}

/** A rollout takes minutes; one that is not done by then is looked at by a person. */
const shortestRolloutMs = 5 * 60_000

/** Deploys, waits, migrates with the image of the new revision, and judges. Resolves with the exit code. */
export async function deploy(operation: Operation, request: DeployRequest): Promise<number> {
  const { stack, agree, dryRun } = operation
  const sight = await lookBefore(operation)
  const plan = planDeploy(stack, sight, request)
  // What would stop the migration is said before anything is deployed.
  if (isJobStack(stack)) usableJob(stack, sight, request.image)
  await agree(describeAll(stack, sight, plan, request))
  if (dryRun) return 0
  const made = await makeRevision(operation, plan)
  try {
    await migrateTo(operation, made)
    return await judgeAll(operation, plan, request)
  } catch (thrown) {
    throw withWayBack(thrown, operation, plan)
  }
}

function describeAll(stack: Stack, sight: Sight, plan: DeployPlan, { gate }: DeployRequest): PlannedStep[] {
  const { job } = stack
  const migration: PlannedStep[] = isJobStack(stack)
    ? [
        {
          name: 'lock',
          text: `set job ${stack.job.name} to the digest of the new revision (now ${jobImage(stack, sight)})`,
        },
        {
          name: 'migrate',
          text: `execute job ${stack.job.name}, and follow it for ${formatDuration(stack.job.maxDurationMs)} at most`,
        },
      ]
    : []
  const database = stack.database ? 'judge the role grants' : 'no role grants: the config has no database part'
  return [
    ...describeDeploy(plan),
    ...migration,
    ...(job ? [] : [{ name: 'migrate', text: 'nothing: the config has no job' }]),
    { name: 'check', text: `check stack ${stack.name} again` },
    { name: 'role grants', text: database },
    { name: 'gate', text: gate ? 'open only where every check is in sync' : 'left out: VERIFY_IMAGE_ALIGNMENT is 0' },
  ]
}

function jobImage(stack: JobStack, sight: Sight): string {
  return sight.job?.containers[0]?.image ?? `no such job ${stack.job.name}`
}

function isJobStack(stack: Stack): stack is JobStack {
  return stack.job !== null
}

/** Resolves with the short name of the revision that was made, once it is ready. */
async function makeRevision(operation: Operation, plan: DeployPlan): Promise<string> {
  const { stack, writer, record, config, say } = operation
  const { service, image, noTraffic, serving } = plan
  const see = describeService(stack)
  await operation.step('deploy', async () => {
    await writer.updateService(serviceName(stack), service.etag, {
      container: stack.service.container,
      image,
      nonce: randomUUID().slice(0, 8),
      keepTrafficOn: noTraffic ? serving.name : null,
    })
    record.standing = `the rollout of ${image} runs on in Cloud Run, and nothing was migrated\n  to see it:   ${see}\n  to go on:    ${migrateStack(stack)}\n  to go back:  ${wayBack(stack, plan).join(' && ')}`
    return `service ${service.name} is to run ${image}`
  })
  let made = ''
  await operation.step('ready', async () => {
    const { kind, seen } = await waitUntil(operation.clock, operation.signal, {
      look: () => operation.look(stack),
      isDone: seen => isSettled(seen, plan),
      onFailure: message => say(`cannot look at the moment: ${message}`),
      longestMs: rolloutMs(config),
    })
    if (kind === 'interrupted') throw interrupted(record)
    if (kind === 'too-long' || !seen)
      throw failed(`the rollout has not ended within ${formatDuration(rolloutMs(config))}: ${record.standing}`)
    made = assertRolledOut(stack, plan, seen)
    return `revision ${made} is ready, ${noTraffic ? `and ${serving.name} still takes all traffic` : 'and takes all traffic'}`
  })
  return made
}

function rolloutMs({ rolloutGraceMs }: Config): number {
  return Math.max(rolloutGraceMs, shortestRolloutMs)
}

function isSettled({ service }: Sight, plan: DeployPlan): boolean {
  const state = service?.terminalCondition?.state
  return (
    !service ||
    (service.etag !== plan.service.etag && !service.reconciling && (state === 'succeeded' || state === 'failed'))
  )
}

function assertRolledOut(stack: Stack, plan: DeployPlan, sight: Sight): string {
  const { service } = sight
  const made = service?.latestCreatedRevision ?? null
  if (!service) throw failed(`service ${stack.service.name} is not there any more: somebody deleted it`)
  if (service.terminalCondition?.state === 'failed')
    throw failed(
      `revision ${made} did not become ready: ${failure(service.terminalCondition)}`,
      `${plan.serving.name} still serves, and nothing was migrated`,
      `to go back: ${updateService(stack, plan.serving.image)}`,
    )
  const ours = service.containers.some(each => each.image === plan.image)
  if (made === null || made === plan.service.latestCreatedRevision || !ours)
    throw new DriftwatchError(
      'CONFLICT',
      `service ${service.name} was changed by somebody else in between: its template asks for ${service.containers.map(each => each.image).join(', ')}; nothing was migrated`,
    )
  assertTraffic(stack, plan, sight, made)
  return made
}

function assertTraffic(stack: Stack, { noTraffic, serving }: DeployPlan, { release }: Sight, made: string): void {
  const wanted = noTraffic ? serving.name : made
  const names = release?.serving.map(each => each.name) ?? []
  if (names.length === 1 && names[0] === wanted) return
  throw failed(
    `revision ${made} is ready, and traffic goes to ${names.join(' and ') || 'nobody'} instead of ${wanted}: nothing was migrated`,
    `to see it: ${describeService(stack)}`,
  )
}

async function migrateTo(operation: Operation, made: string): Promise<void> {
  const { stack, record, look } = operation
  if (!isJobStack(stack)) return operation.skip('migrate', 'the config has no job')
  record.standing = `revision ${made} is deployed, and nothing was migrated; go on with ${migrateStack(stack)}`
  await carryOut(operation, stack, planMigration(stack, await look(stack), made))
}

async function judgeAll(operation: Operation, plan: DeployPlan, { gate }: DeployRequest): Promise<number> {
  const { record, stack } = operation
  record.standing = `everything was deployed and migrated, and not judged; go on with driftwatch check --stack ${stack.name}`
  await checkAgain(operation)
  const report = record.reportAfter as Report
  const checks = report.stacks.flatMap(each => each.checks)
  await passDatabase(operation, judgeDatabase(checks))
  if (!gate) {
    operation.skip('gate', 'VERIFY_IMAGE_ALIGNMENT is 0')
    return 0
  }
  const verdict = judgeGate(checks, plan)
  await operation.step('gate', async () => passGate(stack, verdict, plan))
  return verdict.kind === 'pending' ? exitCodes.pending : 0
}

/** What is pending lets through, as `GET /drift/gate` does. */
function passGate(stack: Stack, { kind, lines }: Verdict, { noTraffic }: DeployPlan): string {
  if (kind === 'drifted') throw failed('the gate is shut', ...lines)
  if (kind === 'unknown') throw notJudged('the gate', lines)
  if (kind === 'pending') return `pending: ${lines.join('; ')}`
  return noTraffic
    ? `open: the job is ahead of what serves until traffic is moved: ${sendTrafficToLatest(stack)}`
    : 'open: every check is in sync'
}

/** Role grants are whatever the config has of them. */
async function passDatabase(operation: Operation, verdict: Verdict | null): Promise<void> {
  if (verdict === null) {
    const why = operation.stack.database ? 'no check of them was asked for' : 'the config has no database part'
    return operation.skip('role grants', why)
  }
  const { kind, lines } = verdict
  await operation.step('role grants', async () => {
    if (kind === 'drifted') throw failed('the role grants have drifted', ...lines)
    if (kind !== 'open') throw notJudged('the role grants', lines)
    return 'the role grants are those of the policy'
  })
}

function notJudged(what: string, lines: readonly string[]): DriftwatchError {
  const said = [`${what} could not be judged`, ...lines.map(line => `  ${line}`)]
  return new DriftwatchError('UNAVAILABLE', said.join('\n'))
}

/** Whatever stopped it: a new revision is there, and how to go back is said with it. */
function withWayBack(thrown: unknown, { stack }: Operation, plan: DeployPlan): unknown {
  if (!(thrown instanceof DriftwatchError) || thrown.code === 'BUG') return thrown
  const back = wayBack(stack, plan)
  return new DriftwatchError(thrown.code, `${thrown.message}\n  to go back: ${back.join(' && ')}`, { cause: thrown })
}

function wayBack(stack: Stack, { serving, noTraffic }: DeployPlan): string[] {
  const image = parseImage(serving.image)
  const service = noTraffic ? updateService(stack, serving.image) : sendTrafficTo(stack, serving.name)
  return [service, ...(isJobStack(stack) && image ? [setJobImage(stack, pinnedImage(image))] : [])]
}

function serviceName({ project, region, service }: Stack): string {
  return `projects/${project}/locations/${region}/services/${service.name}`
}
