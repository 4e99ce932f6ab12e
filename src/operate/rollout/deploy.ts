import { randomUUID } from 'node:crypto'
import { describeFailure } from '../../checks/parts/cloud-run-parts.ts'
import { exitCodes } from '../../checks/status.ts'
import type { Stack } from '../../config/config.ts'
import { formatDuration } from '../../duration.ts'
import { DriftwatchError } from '../../errors.ts'
import type { Service } from '../../release/cloud-run.ts'
import { parseImage } from '../../release/image.ts'
import { sharesOf } from '../../release/serving.ts'
import {
  describeService,
  readRevisionLog,
  sendTrafficTo,
  sendTrafficToLatest,
  updateService,
} from '../../remedies/gcloud.ts'
import type { Report } from '../../report/report.ts'
import type { ChangeStatus } from './change-status.ts'
import { type DeployPlan, describeDeploy, describeShares, planDeploy } from './deploy-plan.ts'
import { type GateVerdict, judgeDatabase, judgeGate, type Verdict } from './gate.ts'
import { assertImageExists, withNote } from './image-presence.ts'
import { recheck, recordInitialState, runMigration } from './migrate.ts'
import { findJob, isJobStack, planMigration } from './migration-plan.ts'
import type { Operation } from './operation.ts'
import { failed, type PlannedStep } from './planned-step.ts'
import type { StackSnapshot } from './stack-snapshot.ts'
import { awaitDone } from './wait.ts'

export interface DeployRequest {
  readonly image: string
  readonly noTraffic: boolean
  /** Whether the deploy ends with the gate. */
  readonly gate: boolean
  /** How long the final check may wait for a final result; null: not at all. */
  readonly waitMs: number | null
}

/** The least time that a rollout may take. */
const shortestRolloutMs = 5 * 60_000

/** Deploys an image, migrates with the new revision and judges the result. Resolves with the exit code. */
export async function runDeploy(operation: Operation, request: DeployRequest): Promise<number> {
  const { stack, confirm, dryRun } = operation
  const snapshot = await recordInitialState(operation)
  const plan = planDeploy(stack, snapshot, request)
  // Refuses before the deploy what would stop the migration after it.
  if (isJobStack(stack)) findJob(stack, snapshot)
  const image = parseImage(plan.image)
  const note = image && (await assertImageExists(operation, image))
  await confirm(withNote(describeSteps(stack, snapshot, plan, request), note))
  if (dryRun) return 0
  const revision = await createRevision(operation, plan)
  await migrateToRevision(operation, plan, revision)
  return judgeRelease(operation, plan, request)
}

function describeSteps(
  stack: Stack,
  snapshot: StackSnapshot,
  plan: DeployPlan,
  { gate }: DeployRequest,
): PlannedStep[] {
  const migration: PlannedStep[] = isJobStack(stack)
    ? [
        {
          name: 'lock',
          text: `pin job ${stack.job.name} to the digest of the new revision (now ${findJob(stack, snapshot).container.image})`,
          writes: `job ${stack.job.name}`,
        },
        {
          name: 'migrate',
          text: `execute job ${stack.job.name}, and follow the execution for at most ${formatDuration(stack.job.maxDurationMs)}`,
          writes: `an execution of job ${stack.job.name}`,
        },
      ]
    : [{ name: 'migrate', text: `skip: ${noJob}` }]
  return [
    ...describeDeploy(plan),
    ...migration,
    { name: 'check', text: `check stack ${stack.name} again` },
    { name: 'role grants', text: stack.database ? 'check the role grants' : `skip: ${noDatabase}` },
    { name: 'gate', text: gate ? 'succeed only if every check is in sync' : `skip: ${noGate}` },
  ]
}

const noJob = 'the configuration has no job'
const noDatabase = 'the configuration has no database'
const noGate = 'VERIFY_IMAGE_ALIGNMENT is 0'

/** Resolves with the short name of the new revision, once it is ready. */
async function createRevision(operation: Operation, plan: DeployPlan): Promise<string> {
  const { stack, log } = operation
  const { noTraffic } = plan
  const commands = {
    inspect: describeService(stack),
    resume: resumeCommand(operation, plan),
    revert: rollbackCommand(stack, plan),
  }
  const traffic = noTraffic ? `no traffic${pinnedClause(plan)}` : 'all traffic'
  await operation.step('deploy', () => updateImage(operation, plan, commands))
  let revision = ''
  await operation.step('ready', async () => {
    revision = await awaitRollout(operation, plan)
    const release = noTraffic ? `, until you send it to the latest revision: ${sendTrafficToLatest(stack)}` : ''
    return `revision ${revision} is ready and receives ${traffic}${release}`
  })
  log.changes.service = { ...commands, summary: `revision ${revision} receives ${traffic}` }
  return revision
}

async function updateImage(
  { stack, writer, log, write }: Operation,
  plan: DeployPlan,
  commands: Omit<ChangeStatus, 'summary'>,
): Promise<string> {
  const { service, image, noTraffic } = plan
  await write('service', { ...commands, summary: `service ${service.name} may have been set to ${image}` }, () =>
    writer.updateService(serviceName(stack), service.etag, {
      container: stack.service.container,
      image,
      nonce: randomUUID().slice(0, 8),
      holdTraffic: noTraffic,
    }),
  )
  log.changes.service = {
    ...commands,
    summary: `the rollout of ${image} continues in Cloud Run${pinnedClause(plan)}`,
  }
  return `service ${service.name} is set to ${image}`
}

async function awaitRollout(operation: Operation, plan: DeployPlan): Promise<string> {
  const { stack, config, takeSnapshot } = operation
  const timeoutMs = Math.max(config.rolloutGraceMs, shortestRolloutMs)
  const late = `the rollout is not complete after ${formatDuration(timeoutMs)}`
  const snapshot = await awaitDone(operation, late, {
    read: () => takeSnapshot(stack),
    isDone: each => isSettled(each, plan),
    timeoutMs,
  })
  return assertRolledOut(operation, plan, snapshot)
}

/** Every message about a deploy without traffic names the revisions that traffic is pinned to. */
function pinnedClause({ noTraffic, pins, shares }: DeployPlan): string {
  return noTraffic ? `; traffic is ${pins ? 'now' : 'still'} pinned to ${describeShares(shares)}` : ''
}

/** `migrate` uses the image in service, so without traffic only another deploy can continue. */
function resumeCommand({ stack, commands }: Operation, { image, noTraffic }: DeployPlan): string {
  if (noTraffic) return commands.deploy(stack, image, { noTraffic })
  return isJobStack(stack) ? commands.migrate(stack) : commands.check(stack)
}

/** With traffic: sends it back. Without: restores the image of the template, and lets traffic follow the latest revision. */
function rollbackCommand(stack: Stack, { service, serving, noTraffic, pins }: DeployPlan): string {
  const template = noTraffic ? updateService(stack, service.containers, serving.image) : null
  if (template === null) return sendTrafficTo(stack, serving.name)
  return pins ? `${template} && ${sendTrafficToLatest(stack)}` : template
}

function isSettled({ service }: StackSnapshot, plan: DeployPlan): boolean {
  const state = service?.terminalCondition?.state
  return (
    !service ||
    (service.etag !== plan.service.etag && !service.reconciling && (state === 'succeeded' || state === 'failed'))
  )
}

function assertRolledOut(operation: Operation, plan: DeployPlan, { service }: StackSnapshot): string {
  const { stack, log } = operation
  if (!service) throw failed(`service ${stack.service.name} was deleted during the rollout`)
  const revision = service.latestCreatedRevision
  if (service.terminalCondition?.state === 'failed') {
    const traffic = plan.noTraffic ? pinnedClause(plan) : `; traffic still goes to ${describeShares(sharesOf(service))}`
    log.changes.service = {
      summary: `service ${service.name} is set to ${plan.image}${traffic}`,
      inspect: revision === null ? describeService(stack) : readRevisionLog(stack, revision),
      revert: rollbackCommand(stack, { ...plan, noTraffic: true }),
    }
    throw failed(`revision ${revision} did not become ready: ${describeFailure(service.terminalCondition)}`)
  }
  const hasImage = service.containers.some(({ image }) => image === plan.image)
  if (revision === null || revision === plan.service.latestCreatedRevision || !hasImage)
    throw new DriftwatchError(
      'CONFLICT',
      `service ${service.name} was changed concurrently: its template now has ${service.containers.map(({ image }) => image).join(', ')}`,
    )
  assertTraffic(plan, service, revision)
  return revision
}

function assertTraffic({ noTraffic, shares }: DeployPlan, service: Service, revision: string): void {
  const expected = noTraffic ? shares : new Map([[revision, 100]])
  const actual = sharesOf(service)
  if (actual.size === expected.size && [...expected].every(([name, percent]) => actual.get(name) === percent)) return
  throw failed(
    `revision ${revision} is ready, but traffic goes to ${describeShares(actual) || 'no revision'} instead of ${describeShares(expected)}`,
  )
}

async function migrateToRevision(operation: Operation, plan: DeployPlan, revision: string): Promise<void> {
  const { stack, takeSnapshot } = operation
  if (!isJobStack(stack)) return operation.skip('migrate', noJob)
  const migration = planMigration(stack, await takeSnapshot(stack), revision)
  await runMigration(operation, stack, migration, {
    resume: resumeCommand(operation, plan),
    revertImage: plan.serving.image,
  })
}

async function judgeRelease(operation: Operation, plan: DeployPlan, { gate, waitMs }: DeployRequest): Promise<number> {
  const { log } = operation
  await recheck(operation, waitMs ?? 0)
  const report = log.reportAfter as Report
  const checks = report.stacks.flatMap(each => each.checks)
  await judgeRoleGrants(operation, judgeDatabase(checks))
  if (!gate) {
    operation.skip('gate', noGate)
    return 0
  }
  const verdict = judgeGate(checks, plan)
  await operation.step('gate', async () => describeGate(operation, verdict, plan))
  const stillTooSoon = waitMs !== null && verdict.tooSoon.length > 0
  return verdict.kind === 'pending' || stillTooSoon ? exitCodes.pending : 0
}

/** A pending check passes, as in `GET /drift/gate`. */
function describeGate(
  { stack, commands }: Operation,
  { kind, lines, tooSoon }: GateVerdict,
  { noTraffic }: DeployPlan,
): string {
  if (kind === 'drifted') throw failed('the gate is closed', ...lines)
  if (kind === 'unknown') throw undecided(commands.check(stack), 'the gate', lines)
  if (kind === 'pending') return `pending: ${[...lines, ...tooSoon].join('; ')}`
  if (noTraffic)
    return `open; the job is ahead of the service until you send traffic to the latest revision: ${sendTrafficToLatest(stack)}`
  if (tooSoon.length === 0) return 'open: every check is in sync'
  return `open: every check that can be judged now is in sync; ${tooSoon.join('; ')}; to check later: ${commands.check(stack, untilJudgedMs(stack))}`
}

/** Twice the delay of Cloud Monitoring, and two minutes. */
function untilJudgedMs({ afterRollout }: Stack): number {
  return 2 * (afterRollout?.delayMs ?? 0) + 120_000
}

async function judgeRoleGrants(operation: Operation, verdict: Verdict | null): Promise<void> {
  if (verdict === null) {
    return operation.skip('role grants', operation.stack.database ? 'no check of them is enabled' : noDatabase)
  }
  const { kind, lines } = verdict
  await operation.step('role grants', async () => {
    if (kind === 'drifted') throw failed('the role grants have drifted', ...lines)
    if (kind !== 'open') throw undecided(operation.commands.check(operation.stack), 'the role grants', lines)
    return 'the role grants match the policy'
  })
}

function undecided(check: string, subject: string, lines: readonly string[]): DriftwatchError {
  const message = [
    `could not determine the state of ${subject}. Run "${check}" to see the errors, and repeat the command.`,
    ...lines.map(line => `  ${line}`),
  ]
  return new DriftwatchError('UNAVAILABLE', message.join('\n'))
}

function serviceName({ project, region, service }: Stack): string {
  return `projects/${project}/locations/${region}/services/${service.name}`
}
