import { randomUUID } from 'node:crypto'
import {
  checkStack,
  deployStack,
  describeRevision,
  describeService,
  migrateStack,
  sendTrafficTo,
  sendTrafficToLatest,
  updateService,
} from '../../checks/fix.ts'
import { describeFailure } from '../../checks/parts/cloud-run-parts.ts'
import { exitCodes } from '../../checks/status.ts'
import type { Config, Stack } from '../../config/config.ts'
import { formatDuration } from '../../duration.ts'
import { DriftwatchError } from '../../errors.ts'
import type { Service } from '../../release/cloud-run.ts'
import { sharesOf } from '../../release/serving.ts'
import type { Report } from '../../report/report.ts'
import { type DeployPlan, describeDeploy, describeShares, planDeploy } from './deploy-plan.ts'
import { type GateVerdict, judgeDatabase, judgeGate, type Verdict } from './gate.ts'
import { carryOut, checkAgain, failed, lookBefore } from './migrate.ts'
import { type JobStack, planMigration, usableJob } from './migration-plan.ts'
import { interrupted, type Operation } from './operation.ts'
import type { PlannedStep } from './planned-step.ts'
import type { StackSnapshot } from './stack-snapshot.ts'
import { waitUntil } from './wait.ts'

export interface DeployRequest {
  readonly image: string
  readonly noTraffic: boolean
  /** Whether there is a gate at the end. */
  readonly gate: boolean
  /** How long the check at the end may wait for what is pending or cannot be judged yet; null: not at all. */
  readonly waitMs: number | null
}

/** A rollout takes minutes; one that is not done by then is looked at by a person. */
const shortestRolloutMs = 5 * 60_000

/** Deploys, waits, migrates with the image of the new revision, and judges. Resolves with the exit code. */
export async function deploy(operation: Operation, request: DeployRequest): Promise<number> {
  const { stack, agree, dryRun } = operation
  const snapshot = await lookBefore(operation)
  const plan = planDeploy(stack, snapshot, request)
  // What would stop the migration is said before anything is deployed.
  if (isJobStack(stack)) usableJob(stack, snapshot, request.image)
  await agree(describeAll(stack, snapshot, plan, request))
  if (dryRun) return 0
  const made = await makeRevision(operation, plan)
  await migrateTo(operation, plan, made)
  return judgeAll(operation, plan, request)
}

function describeAll(stack: Stack, snapshot: StackSnapshot, plan: DeployPlan, { gate }: DeployRequest): PlannedStep[] {
  const { job } = stack
  const migration: PlannedStep[] = isJobStack(stack)
    ? [
        {
          name: 'lock',
          text: `set job ${stack.job.name} to the digest of the new revision (now ${jobImage(stack, snapshot)})`,
          writes: `job ${stack.job.name}`,
        },
        {
          name: 'migrate',
          text: `execute job ${stack.job.name}, and follow it for ${formatDuration(stack.job.maxDurationMs)} at most`,
          writes: `an execution of job ${stack.job.name}`,
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

function jobImage(stack: JobStack, snapshot: StackSnapshot): string {
  return usableJob(stack, snapshot, '').container.image
}

function isJobStack(stack: Stack): stack is JobStack {
  return stack.job !== null
}

/** Resolves with the short name of the revision that was made, once it is ready. */
async function makeRevision(operation: Operation, plan: DeployPlan): Promise<string> {
  const { stack, writer, record, config, say } = operation
  const { service, image, noTraffic } = plan
  const ways = { see: describeService(stack), next: goOn(stack, plan), back: wayBack(stack, plan) }
  await operation.step('deploy', async () => {
    const maybe = { ...ways, said: `service ${service.name} may have been told to run ${image}` }
    await operation.write('service', maybe, () =>
      writer.updateService(serviceName(stack), service.etag, {
        container: stack.service.container,
        image,
        nonce: randomUUID().slice(0, 8),
        holdTraffic: noTraffic,
      }),
    )
    record.standings.service = {
      ...ways,
      said: `the rollout of ${image} runs on in Cloud Run${pinnedClause(plan)}`,
    }
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
    if (kind === 'interrupted') throw interrupted()
    if (kind === 'too-long' || !seen)
      throw failed(`the rollout has not ended within ${formatDuration(rolloutMs(config))}`)
    made = assertRolledOut(operation, plan, seen)
    const release = `: until it is released, a later revision gets none of it: ${sendTrafficToLatest(stack)}`
    return `revision ${made} is ready, and takes ${noTraffic ? `no traffic${pinnedClause(plan)}${release}` : 'all traffic'}`
  })
  record.standings.service = {
    ...ways,
    said: `revision ${made} takes ${noTraffic ? `no traffic${pinnedClause(plan)}` : 'all traffic'}`,
  }
  return made
}

/** Traffic that is pinned stays so: it is said with everything that comes of it, and how it is released. */
function pinnedClause({ noTraffic, pins, shares }: DeployPlan): string {
  return noTraffic ? `; traffic is ${pins ? 'now' : 'still'} pinned to ${describeShares(shares)}` : ''
}

/** `migrate` locks to what serves, so that without traffic only another deploy goes on. */
function goOn(stack: Stack, { image, noTraffic }: DeployPlan): string {
  return noTraffic ? deployStack(stack, image, true) : isJobStack(stack) ? migrateStack(stack) : checkStack(stack)
}

/** The image of before comes back into the template; traffic that followed the latest revision does so again. */
function wayBack(stack: Stack, { serving, noTraffic, pins }: DeployPlan): string {
  if (!noTraffic) return sendTrafficTo(stack, serving.name)
  const template = updateService(stack, serving.image)
  return pins ? `${template} && ${sendTrafficToLatest(stack)}` : template
}

function rolloutMs({ rolloutGraceMs }: Config): number {
  return Math.max(rolloutGraceMs, shortestRolloutMs)
}

function isSettled({ service }: StackSnapshot, plan: DeployPlan): boolean {
  const state = service?.terminalCondition?.state
  return (
    !service ||
    (service.etag !== plan.service.etag && !service.reconciling && (state === 'succeeded' || state === 'failed'))
  )
}

function assertRolledOut(operation: Operation, plan: DeployPlan, { service }: StackSnapshot): string {
  const { stack, record } = operation
  const made = service?.latestCreatedRevision ?? null
  if (!service) throw failed(`service ${stack.service.name} is not there any more: somebody deleted it`)
  if (service.terminalCondition?.state === 'failed') {
    const serves = plan.noTraffic
      ? pinnedClause(plan)
      : `; as before, traffic goes to ${describeShares(sharesOf(service))}`
    record.standings.service = {
      said: `service ${service.name} is told to run ${plan.image}${serves}`,
      see: made === null ? describeService(stack) : describeRevision(stack, made),
      back: wayBack(stack, { ...plan, noTraffic: true }),
    }
    throw failed(`revision ${made} did not become ready: ${describeFailure(service.terminalCondition)}`)
  }
  const ours = service.containers.some(each => each.image === plan.image)
  if (made === null || made === plan.service.latestCreatedRevision || !ours)
    throw new DriftwatchError(
      'CONFLICT',
      `service ${service.name} was changed by somebody else in between: its template asks for ${service.containers.map(each => each.image).join(', ')}`,
    )
  assertTraffic(plan, service, made)
  return made
}

function assertTraffic({ noTraffic, shares }: DeployPlan, service: Service, made: string): void {
  const wanted = noTraffic ? shares : new Map([[made, 100]])
  const is = sharesOf(service)
  if (is.size === wanted.size && [...wanted].every(([name, percent]) => is.get(name) === percent)) return
  throw failed(
    `revision ${made} is ready, and traffic goes to ${describeShares(is) || 'nobody'} instead of ${describeShares(wanted)}`,
  )
}

async function migrateTo(operation: Operation, plan: DeployPlan, made: string): Promise<void> {
  const { stack, look } = operation
  if (!isJobStack(stack)) return operation.skip('migrate', 'the config has no job')
  const migration = planMigration(stack, await look(stack), made)
  await carryOut(operation, stack, migration, { next: goOn(stack, plan), backTo: plan.serving.image })
}

async function judgeAll(operation: Operation, plan: DeployPlan, { gate, waitMs }: DeployRequest): Promise<number> {
  const { record, stack } = operation
  await checkAgain(operation, waitMs ?? 0)
  const report = record.reportAfter as Report
  const checks = report.stacks.flatMap(each => each.checks)
  await passDatabase(operation, judgeDatabase(checks))
  if (!gate) {
    operation.skip('gate', 'VERIFY_IMAGE_ALIGNMENT is 0')
    return 0
  }
  const verdict = judgeGate(checks, plan)
  await operation.step('gate', async () => passGate(stack, verdict, plan))
  const waitedInVain = waitMs !== null && verdict.tooSoon.length > 0
  return verdict.kind === 'pending' || waitedInVain ? exitCodes.pending : 0
}

/** What is pending lets through, as `GET /drift/gate` does. */
function passGate(stack: Stack, { kind, lines, tooSoon }: GateVerdict, { noTraffic }: DeployPlan): string {
  if (kind === 'drifted') throw failed('the gate is shut', ...lines)
  if (kind === 'unknown') throw notJudged('the gate', lines)
  if (kind === 'pending') return `pending: ${[...lines, ...tooSoon].join('; ')}`
  if (noTraffic) return `open: the job is ahead of what serves until traffic is released: ${sendTrafficToLatest(stack)}`
  if (tooSoon.length === 0) return 'open: every check is in sync'
  return `open: all that can be judged by now is in sync; ${tooSoon.join('; ')}; then: ${checkStack(stack, untilJudgedMs(stack))}`
}

/** The time that Cloud Monitoring takes, and as much again. */
function untilJudgedMs({ afterRollout }: Stack): number {
  return 2 * (afterRollout?.delayMs ?? 0) + 120_000
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

function serviceName({ project, region, service }: Stack): string {
  return `projects/${project}/locations/${region}/services/${service.name}`
}
