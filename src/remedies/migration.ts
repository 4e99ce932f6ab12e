import { isDeepStrictEqual } from 'node:util'
import type { JobStack } from '../config/config.ts'
import type { Job } from '../release/cloud-run.ts'
import { pickContainer } from '../release/container.ts'
import { executionVerdict } from '../release/execution-verdict.ts'
import { type Image, parseImage, pinnedImage } from '../release/image.ts'
import { readJobImage } from '../release/release.ts'
import {
  type ContainerChange,
  cancelExecution,
  describeExecution,
  describeJob,
  executeJob,
  readExecutionLog,
  updateJob,
} from './gcloud.ts'
import { decide, quoted, type Remedy, run } from './remedy.ts'
import { restoreTag } from './restore-tag.ts'
import { pinnedRevisions } from './service-image.ts'
import {
  areDifferent,
  differsAt,
  isAbsent,
  provenDifferences,
  releaseOf,
  type Situation,
  statusOf,
  usableServingImage,
} from './situation.ts'

/** The job and its latest execution. They are fixed together, because `driftwatch migrate` does both. */
interface Migration {
  readonly situation: Situation
  readonly stack: JobStack
  readonly job: Job
}

export function remedyJobImage(situation: Situation): Remedy {
  const migration = migrationOf(situation)
  const differs = (...paths: readonly string[]) => differsAt(situation, 'job-image', ...paths)
  if (!migration || differs('job')) return recreateJob(situation.stack as JobStack)
  if (differs('job.container')) return chooseContainer('job')
  const tag = restoreJobTag(migration)
  if (tag && isTagMissing(migration)) return tag
  const blocked = serviceFirst(situation)
  if (blocked) return isOnlySplit(situation) ? followNewest(migration) : blocked
  const unsettled = jobFirst(migration)
  if (unsettled) return unsettled
  return ranAsWanted(migration) ? pinJob(migration) : migrate(migration)
}

export function remedyMigrationExecution(situation: Situation): Remedy {
  const migration = migrationOf(situation)
  if (!migration) return recreateJob(situation.stack as JobStack)
  if (differsAt(situation, 'migration-execution', 'execution.container')) return chooseContainer('execution')
  return migrate(migration)
}

/** A relation or a recorded migration is missing: the migration that creates it is the remedy, unless it ran already. */
export function remedySchema(situation: Situation): Remedy {
  const { stack } = situation
  const differences = provenDifferences(situation, 'schema')
  if (differences.every(({ kind }) => kind === 'unexpected'))
    return decide(
      'Decide whether the configuration must expect these migrations, or a release with them must be deployed.',
    )
  if (!stack.job)
    return decide('Run the migration that creates what is missing. The stack has no job in the configuration.')
  if (statusOf(situation, 'migration-execution') === 'in_sync')
    return decide(
      'The migration with the image in service succeeded and did not create it, so running it again does not help. Check whether the job connects to this database, whether the image contains the migration, and whether the object was dropped later.',
    )
  if (situation.observed.job === null) return decide('Create the migration job first: see job-image.')
  const migration = migrationOf(situation)
  return migration ? migrate(migration) : run(situation.commands.migrate(stack), migrateAdvice)
}

function migrationOf(situation: Situation): Migration | null {
  const { stack, observed } = situation
  const { job } = observed
  return job && stack.job ? { situation, stack: stack as JobStack, job } : null
}

function recreateJob({ job }: JobStack): Remedy {
  return decide(
    `Create job ${job.name} with its own deployment, for example its pipeline. A bare gcloud run jobs create would lack its service account, environment variables, secrets, database connection and network, so that it could not reach the database.`,
  )
}

function chooseContainer(subject: string): Remedy {
  return decide(`Set job.container in the configuration to the container of the ${subject} that migrates.`)
}

/** A migration runs the image in service, so that has to be settled before. */
function serviceFirst(situation: Situation): Remedy | null {
  const waits = waitsForService(situation)
  if (waits) return waits
  const release = releaseOf(situation)
  if (!release || release.servingUnknown || release.serving.length === 0)
    return decide('No image is in service. Deploy the service first: a migration runs the image in service.')
  const { template, serving, service } = release
  const [newest] = serving
  if (template.kind !== 'found' || newest?.image.kind !== 'found') return null
  if (pinnedRevisions(release).length > 0 && areDifferent(situation, template.side, newest.image.side))
    return decide(
      `Traffic of service ${service.name} is pinned to an older revision. Decide that first: a migration with its image would run on the schema of a newer one.`,
    )
  return null
}

const migrateAdvice = 'Pins the job to the image in service, executes it, and checks again.'

/** The remedy of everything that a migration fixes. */
function migrate(migration: Migration): Remedy {
  const { situation, stack, job } = migration
  const reference = job.latestCreatedExecution
  const verdict = reference && executionVerdict(latestExecution(migration), reference)
  if (verdict?.kind === 'failed') return afterFailure(migration, reference?.name ?? '')
  const blocked = serviceFirst(situation) ?? jobFirst(migration)
  if (blocked) return blocked
  const command = migrateCommand(migration)
  if (command === null) return cannotMigrate(migration)
  if (verdict?.kind !== 'under-way') return run(command, adviceOf(command))
  const name = reference?.name ?? ''
  if (!differsAt(situation, 'migration-execution', 'execution.completion'))
    return decide(`Wait until execution ${name} has ended: ${quoted(describeExecution(stack, name))}.`)
  if (differsAt(situation, 'service-image', 'service.revision'))
    return decide('Fix service-image first: the revision that serves this image is not ready.')
  return run(
    [readExecutionLog(stack, name), `${cancelExecution(stack, name)} && ${command}`],
    `Execution ${name} exceeded job.maxDuration: the first command shows why. The second one cancels it and migrates again.`,
  )
}

function adviceOf(command: string): string {
  return command.startsWith('driftwatch ') ? migrateAdvice : 'Executes the job as configured. Check again afterwards.'
}

/** The job itself is not settled: Cloud Run is still applying its last update, or failed to. */
function jobFirst(migration: Migration): Remedy | null {
  const { situation, stack, job } = migration
  const differs = (path: string) => differsAt(situation, 'job-image', path)
  const describe = describeJob(stack)
  if (differs('job.reconciling'))
    return run(describe, 'Cloud Run does not finish the last update of the job. Its conditions give the reason.')
  if (isReconciling(job)) return decide(`Wait until Cloud Run has applied the last update of job ${job.name}.`)
  if (!differs('job.update')) return null
  const command = migrateCommand(migration)
  const isOther = ['job.image', 'job.command', 'job.args'].some(differs)
  return isOther && command !== null
    ? run(
        [describe, command],
        'The last update of the job failed: the first command shows why. The second one sets it as configured.',
      )
    : run(
        describe,
        'Cloud Run did not apply the last update of the job. Find the reason in its conditions, then update it again.',
      )
}

function isReconciling({ reconciling, terminalCondition }: Job): boolean {
  return reconciling || terminalCondition?.state === 'reconciling' || terminalCondition?.state === 'pending'
}

/** What failed is not executed again in the same way: its log comes first. */
function afterFailure(migration: Migration, name: string): Remedy {
  const { situation, stack } = migration
  const log = readExecutionLog(stack, name)
  const again = serviceFirst(situation) || jobFirst(migration) ? null : migrateCommand(migration)
  if (again !== null && !ranWantedImage(migration))
    return run(
      [log, again],
      'The latest migration failed, and not with the image in service or the configured command: the first command shows why. The second one migrates as configured.',
    )
  const retry = again === null ? '' : ` Then run ${quoted(again)}.`
  return run(log, `The latest migration failed. Find the reason in its log and remove it.${retry}`)
}

function cannotMigrate({ situation }: Migration): Remedy {
  return usableServingImage(situation) === null
    ? decide(
        'The image in service cannot run a migration: it is not allowed, or the registry does not have it. Deploy an image that can run first.',
      )
    : decide('Decide which container of the job migrates, and set job.container in the configuration.')
}

/** `driftwatch migrate`, or gcloud commands if it would refuse because no digest is known. Null: neither can run. */
function migrateCommand(migration: Migration): string | null {
  const { situation, stack, job } = migration
  const image = usableServingImage(situation)
  if (!image || pickContainer(job.containers, stack.job.container).kind !== 'picked') return null
  const release = releaseOf(situation)
  const isDigestKnown = release?.serving.every(
    ({ image: each }) => each.kind === 'found' && each.side.image.digest === image.digest,
  )
  if (image.digest !== null && isDigestKnown) return situation.commands.migrate(stack)
  const change = wantedChange(migration, image)
  const isRight = Object.values(change).every(value => value === null)
  const update = isRight ? null : updateJob(stack, job.containers, change)
  return update === null ? executeJob(stack) : `${update} && ${executeJob(stack)}`
}

/** Changes the job only: its latest execution ran as wanted. */
function pinJob(migration: Migration): Remedy {
  const { situation, stack, job } = migration
  const image = usableServingImage(situation)
  if (!image) return cannotMigrate(migration)
  const command = updateJob(stack, job.containers, wantedChange(migration, image))
  return command === null
    ? chooseContainer('job')
    : run(command, 'Updates the job only: its latest execution already ran as configured with the image in service.')
}

/** The image in service is not settled. */
export function waitsForService({ findings }: Situation): Remedy | null {
  const differences = findings.get('service-image')?.differences ?? []
  return differences.some(({ path }) => path !== 'service.revision')
    ? decide('Fix service-image first: a migration runs the image in service, and that is not settled.')
    : null
}

/** Traffic is split between images: the job follows the newest revision, but no migration runs before that is decided. */
function followNewest(migration: Migration): Remedy {
  const { fix } = pinJob(migration)
  const advice =
    'Decide the traffic split first: see service-image. The job has to match the newest revision that receives traffic.'
  return { fix, advice }
}

function isOnlySplit({ findings }: Situation): boolean {
  const differences = findings.get('service-image')?.differences ?? []
  return differences.every(({ path, kind }) => path === 'service.traffic' && kind === 'changed')
}

/** Only what the job does not have yet. */
function wantedChange({ situation, stack, job }: Migration, image: Image): ContainerChange {
  const pick = pickContainer(job.containers, stack.job.container)
  const actual = pick.kind === 'picked' ? pick.container : null
  const words = (what: 'command' | 'args') =>
    isDeepStrictEqual(actual?.[what], stack.job[what]) ? null : stack.job[what]
  const isWrong = differsAt(situation, 'job-image', 'job.image')
  return { image: isWrong ? pinnedImage(image) : null, command: words('command'), args: words('args') }
}

/** Whether the latest execution is in sync. */
function ranAsWanted({ situation }: Migration): boolean {
  return statusOf(situation, 'migration-execution') === 'in_sync'
}

/** Whether the latest execution ran the image in service with the configured command and args. */
function ranWantedImage({ situation }: Migration): boolean {
  return !differsAt(situation, 'migration-execution', 'execution.image', 'execution.command', 'execution.args')
}

function latestExecution({ situation, job }: Migration) {
  const execution = situation.observed.execution?.execution ?? null
  return execution?.name === job.latestCreatedExecution?.name ? execution : null
}

/** The job refers to a tag that the registry does not have. */
function isTagMissing({ situation, stack, job }: Migration): boolean {
  const pick = pickContainer(job.containers, stack.job.container)
  const image = pick.kind === 'picked' ? parseImage(pick.container.image) : null
  const missing = provenDifferences(situation, 'job-image').some(
    ({ path, kind }) => path === 'job.image' && kind === 'missing',
  )
  return missing || (image !== null && isAbsent(situation, image))
}

/** Points the missing tag of the job to the digest that it had, if that is known. */
function restoreJobTag({ situation, stack, job }: Migration): Remedy | null {
  const image = readJobImage(job, releaseOf(situation), stack.job.container)
  if (image.kind !== 'found') return null
  const { resolvedDigest, image: reference } = image.side
  return restoreTag(situation, reference, resolvedDigest)
}
