import { randomBytes, randomUUID } from 'node:crypto'
import { createRegistryStore, type RegistryStore } from '../registry/store.ts'
import type { World } from '../world.ts'
import { bytesOf, toAny } from './message.ts'
import { assertName } from './names.ts'
import { refusal } from './refusal.ts'
import type { Message, Store } from './store.ts'
import { type Migrate, startTask } from './tasks.ts'
import { usual, type WriteBehaviour } from './write-behaviour.ts'

/** The methods that change resources, with the validation of Cloud Run; each returns a long-running operation. */
export interface WriteMethods {
  updateJob(job: Message): Message
  runJob(name: string, etag: string): Message
  cancelExecution(name: string): Message
  updateService(service: Message): Message
  operation(name: string): Message
}

interface WriteContext {
  readonly store: Store
  readonly behaviour: WriteBehaviour
  readonly registry: RegistryStore
  readonly migrate: Migrate
  /** The resource of each operation, which determines whether the operation is done. */
  readonly operations: Map<string, { readonly kind: Kind; readonly name: string }>
}

type Kind = 'Service' | 'Job' | 'Execution'

const collectionOf = { Service: 'services', Job: 'jobs', Execution: 'executions' } as const

/** The `lastModifier` of the resources. */
const writer = 'operator@openagentsgemini.iam.gserviceaccount.com'

export function createWriteMethods(world: World, store: Store, migrate: Migrate): WriteMethods {
  const registry = createRegistryStore(world.registry.repositories)
  const behaviour = { ...usual, ...world.writes }
  const context: WriteContext = { store, behaviour, registry, migrate, operations: new Map() }
  return {
    updateJob: job => updateJob(context, job),
    runJob: (name, etag) => runJob(context, name, etag),
    cancelExecution: name => cancelExecution(context, name),
    updateService: service => updateService(context, service),
    operation: name => readOperation(context, name),
  }
}

function updateJob(context: WriteContext, wish: Message): Message {
  const { store, behaviour } = context
  const name = nameOf(wish)
  assertName('jobs', name)
  const before = store.get('jobs', name)
  assertEtag(name, wish.etag, before.etag)
  const images = imagesOf((wish.template as Message | null)?.template as Message | null)
  store.put('jobs', name, {
    ...before,
    ...changed(wish, before),
    template: wish.template,
    terminalCondition: condition('Ready', 'CONDITION_RECONCILING'),
  })
  store.later(behaviour.jobUpdateMs, () => {
    const missing = images.find(image => digestOf(context, image) === null)
    const ready = missing
      ? condition('Ready', 'CONDITION_FAILED', {
          message: `Image '${missing}' not found.`,
          reason: 'CONTAINER_MISSING',
        })
      : condition('Ready', 'CONDITION_SUCCEEDED')
    const job = store.get('jobs', name)
    store.put('jobs', name, { ...job, ...settled(job), terminalCondition: ready })
  })
  return startOperation(context, 'Job', name)
}

function runJob(context: WriteContext, jobName: string, etag: string): Message {
  const { store, behaviour } = context
  assertName('jobs', jobName)
  const job = store.get('jobs', jobName)
  assertEtag(jobName, etag, job.etag)
  assertRunnable(context, jobName, job)
  const template = job.template as Message
  const shortName = `${lastOf(jobName)}-${suffix(5)}`
  const name = `${jobName}/executions/${shortName}`
  const createTime = timestamp()
  const taskCount = Number(template.taskCount ?? 1) || 1
  store.put('executions', name, {
    name,
    uid: randomUUID(),
    generation: 1,
    job: lastOf(jobName),
    createTime,
    startTime: createTime,
    updateTime: createTime,
    creator: writer,
    launchStage: 'GA',
    parallelism: taskCount,
    taskCount,
    runningCount: taskCount,
    template: template.template,
    reconciling: true,
    conditions: [
      condition('Completed', 'CONDITION_RECONCILING', { message: 'Waiting for execution to complete.' }),
      condition('ContainerReady', 'CONDITION_SUCCEEDED', { message: 'Imported container image.' }),
      condition('Started', 'CONDITION_SUCCEEDED', { message: 'Started deployed execution in 0s.' }),
    ],
    logUri: 'https://console.cloud.google.com/logs/viewer',
    etag: newEtag(),
  })
  store.put('jobs', jobName, {
    ...job,
    executionCount: Number(job.executionCount ?? 0) + 1,
    latestCreatedExecution: { name: shortName, createTime, completionStatus: 'EXECUTION_RUNNING' },
    etag: newEtag(),
  })
  if (behaviour.execution !== 'never-ends') executeLater(context, jobName, name)
  return startOperation(context, 'Execution', name)
}

/** The execution ends after its time, and not before its task. */
function executeLater(context: WriteContext, jobName: string, name: string): void {
  const { store, behaviour, migrate } = context
  const template = store.get('executions', name).template as Message
  const task =
    behaviour.execution === 'fails' ? { exitCode: 1 } : startTask(template, image => digestOf(context, image), migrate)
  const complete = () => {
    if (task.exitCode === null) store.later(10, complete)
    else completeExecution(context, jobName, name, task.exitCode === 0)
  }
  store.later(behaviour.executionMs, complete)
}

function assertRunnable({ store, behaviour }: WriteContext, jobName: string, job: Message): void {
  const ready = job.terminalCondition as Message | null
  if (ready?.state === 'CONDITION_FAILED')
    throw refusal('FAILED_PRECONDITION', `Job '${lastOf(jobName)}' is not ready to run: ${ready.message}`)
  const location = jobName.split('/').slice(0, 4).join('/')
  const running = store
    .list('executions', `${location}/jobs/-`, { order: 'newest-first', showDeleted: false })
    .filter(execution => Number(execution.runningCount ?? 0) > 0)
  if (running.length >= behaviour.executionLimit)
    throw refusal(
      'RESOURCE_EXHAUSTED',
      `Quota exceeded for running executions in ${location}: limit ${behaviour.executionLimit}.`,
    )
}

function cancelExecution(context: WriteContext, name: string): Message {
  const { store, behaviour } = context
  assertName('executions', name)
  const execution = store.get('executions', name)
  if (execution.completionTime) throw refusal('FAILED_PRECONDITION', `Execution '${lastOf(name)}' has ended already.`)
  const cancelling = condition('Completed', 'CONDITION_RECONCILING', {
    message: 'Execution is being cancelled.',
    executionReason: 'CANCELLING',
  })
  store.put('executions', name, { ...execution, ...withCompleted(execution, cancelling), etag: newEtag() })
  const cancelled = condition('Completed', 'CONDITION_FAILED', {
    message: 'Execution was cancelled.',
    executionReason: 'CANCELLED',
  })
  const jobName = name.slice(0, name.lastIndexOf('/executions/'))
  store.later(behaviour.cancellationMs, () =>
    endExecution(context, jobName, name, {
      completed: cancelled,
      count: 'cancelledCount',
      status: 'EXECUTION_CANCELLED',
    }),
  )
  return startOperation(context, 'Execution', name)
}

function completeExecution(context: WriteContext, jobName: string, name: string, succeeds: boolean): void {
  const completed = succeeds
    ? condition('Completed', 'CONDITION_SUCCEEDED', { message: 'Execution completed successfully in 0s.' })
    : condition('Completed', 'CONDITION_FAILED', {
        message: `Task ${lastOf(name)}-task0 failed with message: The container exited with an error.`,
        executionReason: 'NON_ZERO_EXIT_CODE',
      })
  const [count, status] = succeeds ? ['succeededCount', 'EXECUTION_SUCCEEDED'] : ['failedCount', 'EXECUTION_FAILED']
  endExecution(context, jobName, name, { completed, count, status })
}

/** Ends an execution that has not ended yet. */
function endExecution(
  { store }: WriteContext,
  jobName: string,
  name: string,
  { completed, count, status }: { readonly completed: Message; readonly count: string; readonly status: string },
): void {
  const completionTime = timestamp()
  const execution = store.get('executions', name)
  if (execution.completionTime) return
  store.put('executions', name, {
    ...execution,
    ...withCompleted(execution, completed),
    reconciling: false,
    observedGeneration: 1,
    runningCount: 0,
    [count]: execution.taskCount,
    completionTime,
    updateTime: completionTime,
    etag: newEtag(),
  })
  const job = store.get('jobs', jobName)
  const latest = job.latestCreatedExecution as Message
  if (latest.name !== lastOf(name)) return
  store.put('jobs', jobName, {
    ...job,
    latestCreatedExecution: { ...latest, completionTime, completionStatus: status },
    etag: newEtag(),
  })
}

function withCompleted({ conditions }: Message, completed: Message): { readonly conditions: Message[] } {
  return { conditions: [completed, ...(conditions as Message[]).filter(({ type }) => type !== 'Completed')] }
}

function updateService(context: WriteContext, wish: Message): Message {
  const { store, behaviour } = context
  const name = nameOf(wish)
  assertName('services', name)
  const before = store.get('services', name)
  assertEtag(name, wish.etag, before.etag)
  const template = wish.template as Message | null
  imagesOf(template)
  assertTraffic(store, name, (wish.traffic as Message[] | null) ?? [])
  const revision = sameTemplate(wish, before) ? null : createRevision(context, name, template as Message)
  store.put('services', name, {
    ...before,
    ...changed(wish, before),
    template,
    traffic: wish.traffic,
    terminalCondition: condition('Ready', 'CONDITION_RECONCILING'),
    ...(revision && { latestCreatedRevision: revision }),
  })
  if (behaviour.rollout !== 'never-ends') store.later(behaviour.rolloutMs, () => settleService(context, name, revision))
  return startOperation(context, 'Service', name)
}

/** Percentages must sum to 100, and each target must be an existing revision that is listed once. */
function assertTraffic(store: Store, service: string, traffic: readonly Message[]): void {
  const refuse = (why: string) =>
    refusal('INVALID_ARGUMENT', `Violation in UpdateServiceRequest.service.traffic: ${why}`)
  const sum = traffic.reduce((total, { percent }) => total + Number(percent ?? 0), 0)
  if (traffic.length > 0 && sum !== 100) throw refuse(`percentages must sum to 100, not ${sum}.`)
  const names = traffic.flatMap(({ revision }) => (revision ? [String(revision)] : []))
  const known = store.list('revisions', service, { order: 'newest-first', showDeleted: false })
  const missing = names.find(name => !known.some(each => lastOf(nameOf(each)) === name))
  if (missing) throw refuse(`Revision '${missing}' not found.`)
  const untagged = traffic.filter(({ tag }) => !tag).map(({ type, revision }) => `${type} ${revision}`)
  if (new Set(untagged).size < untagged.length) throw refuse('a target without a tag is given twice.')
}

/** Creates a revision of the template, with the current digest of its tag. */
function createRevision(context: WriteContext, service: string, template: Message): string {
  const { store, behaviour } = context
  const earlier = store.list('revisions', service, { order: 'newest-first', showDeleted: true })
  const asked = String(template.revision ?? '')
  if (asked && earlier.some(each => lastOf(nameOf(each)) === asked))
    throw refusal('ALREADY_EXISTS', `Revision named '${asked}' with different configuration already exists.`)
  const number = Math.max(0, ...earlier.map(each => Number(/-([0-9]{5})-/.exec(nameOf(each))?.[1] ?? 0))) + 1
  const name = `${service}/revisions/${asked || `${lastOf(service)}-${String(number).padStart(5, '0')}-${suffix(3)}`}`
  const { revision: _, containers, ...settings } = template
  store.put('revisions', name, {
    ...settings,
    name,
    service: lastOf(service),
    uid: randomUUID(),
    generation: 1,
    createTime: timestamp(),
    updateTime: timestamp(),
    creator: writer,
    containers: (containers as Message[]).map(container => ({
      ...container,
      image: behaviour.showsDigest ? pinned(context, String(container.image)) : container.image,
    })),
    conditions: [condition('Ready', 'CONDITION_RECONCILING')],
    etag: newEtag(),
  })
  return name
}

function settleService(context: WriteContext, name: string, revision: string | null): void {
  const { store } = context
  const service = store.get('services', name)
  const failure = revision && rolloutFailure(context, revision)
  if (revision) {
    const ready = failure ?? condition('Ready', 'CONDITION_SUCCEEDED')
    store.put('revisions', revision, {
      ...store.get('revisions', revision),
      conditions: [ready],
      updateTime: timestamp(),
    })
  }
  if (failure) {
    const message = `Revision '${lastOf(revision ?? '')}' is not ready and cannot serve traffic. ${failure.message}`
    const terminalCondition = condition('Ready', 'CONDITION_FAILED', { message, reason: 'REVISION_FAILED' })
    const { observedGeneration } = service
    store.put('services', name, { ...service, ...settled(service), observedGeneration, terminalCondition })
    return
  }
  const traffic = (service.traffic as Message[] | null) ?? []
  store.put('services', name, {
    ...service,
    ...settled(service),
    terminalCondition: condition('Ready', 'CONDITION_SUCCEEDED'),
    ...(revision && { latestReadyRevision: revision }),
    trafficStatuses: traffic.map(({ type, revision: target, percent, tag }) => ({
      type,
      revision: target,
      percent,
      tag,
    })),
  })
}

function rolloutFailure(context: WriteContext, revision: string): Message | null {
  const image = String((context.store.get('revisions', revision).containers as Message[])[0]?.image)
  if (digestOf(context, image) === null)
    return condition('Ready', 'CONDITION_FAILED', {
      message: `Image '${image}' not found.`,
      reason: 'CONTAINER_MISSING',
    })
  if (context.behaviour.rollout !== 'fails') return null
  return condition('Ready', 'CONDITION_FAILED', {
    message:
      'The user-provided container failed to start and listen on the port defined provided by the PORT=8080 environment variable within the allocated timeout.',
    revisionReason: 'HEALTH_CHECK_CONTAINER_ERROR',
  })
}

function startOperation(context: WriteContext, kind: Kind, name: string): Message {
  const operation = `${name.split('/').slice(0, 4).join('/')}/operations/${randomUUID()}`
  context.operations.set(operation, { kind, name })
  return { name: operation, done: false, metadata: toAny(kind, context.store.get(collectionOf[kind], name)) }
}

function readOperation({ store, operations }: WriteContext, name: string): Message {
  const about = operations.get(name)
  if (!about) throw refusal('NOT_FOUND', `Operation '${name}' does not exist.`)
  const resource = store.get(collectionOf[about.kind], about.name)
  const any = toAny(about.kind, resource)
  return resource.reconciling
    ? { name, done: false, metadata: any }
    : { name, done: true, metadata: any, response: any }
}

/** The fields that every update changes. */
function changed(wish: Message, before: Message): Message {
  return {
    labels: wish.labels,
    annotations: wish.annotations,
    client: wish.client,
    clientVersion: wish.clientVersion,
    generation: Number(before.generation ?? 0) + 1,
    updateTime: timestamp(),
    lastModifier: writer,
    reconciling: true,
    etag: newEtag(),
  }
}

function settled({ generation }: Message): Message {
  return { reconciling: false, observedGeneration: generation, etag: newEtag() }
}

function assertEtag(name: string, given: unknown, current: unknown): void {
  if (!given || given === current) return
  throw refusal(
    'ABORTED',
    `Conflict for resource '${lastOf(name)}': version '${given}' was specified but current version is '${current}'.`,
  )
}

function imagesOf(template: Message | null): string[] {
  const containers = (template?.containers as Message[] | null) ?? []
  if (containers.length === 0) throw refusal('INVALID_ARGUMENT', 'template.containers: should contain at least one.')
  return containers.map(({ image }) => {
    if (!image) throw refusal('INVALID_ARGUMENT', 'template.containers[0].image: should not be empty.')
    return String(image)
  })
}

function sameTemplate(wish: Message, before: Message): boolean {
  const [one, other] = [wish, before].map(({ template }) => bytesOf('Service', { template }))
  return one !== undefined && other !== undefined && one.equals(other)
}

/** The digest of an image for linux/amd64; null if the registry does not have it. */
function digestOf({ registry }: WriteContext, image: string): string | null {
  const at = image.indexOf('@')
  const colon = image.lastIndexOf(':')
  const tagged = at < 0 && colon > image.lastIndexOf('/')
  const repository = at >= 0 ? image.slice(0, at) : tagged ? image.slice(0, colon) : image
  const found = registry.manifest(
    repository,
    at >= 0 ? image.slice(at + 1) : tagged ? image.slice(colon + 1) : 'latest',
  )
  if (!found) return null
  const { manifests } = JSON.parse(found.manifest.bytes.toString()) as { manifests?: { digest: string }[] }
  return manifests?.[0]?.digest ?? found.digest
}

function pinned(context: WriteContext, image: string): string {
  const digest = digestOf(context, image)
  return digest === null ? image : `${image.replace(/(@.*|:[^/:]*)$/, '')}@${digest}`
}

function condition(type: string, state: string, more: Message = {}): Message {
  return { type, state, lastTransitionTime: timestamp(), ...more }
}

function timestamp(): { seconds: number; nanos: number } {
  const now = Date.now()
  return { seconds: Math.floor(now / 1000), nanos: (now % 1000) * 1_000_000 }
}

function nameOf({ name }: Message): string {
  return String(name ?? '')
}

function lastOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

function newEtag(): string {
  return `"${randomBytes(16).toString('base64url')}"`
}

/** Like the names of Cloud Run: letters and digits, starting with a letter. */
function suffix(length: number): string {
  const letters = 'bcdfghjklmnpqrstvwxz'
  return [...randomBytes(length)].map(byte => letters[byte % letters.length]).join('')
}
