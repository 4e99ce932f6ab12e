import { refusal } from '../cloud-run/refusal.ts'
import { assertAggregation, toAggregation } from './aggregate.ts'
import { parseFilter } from './filter.ts'
import { projectOf, type SeriesStore } from './series.ts'

type Message = Record<string, unknown>

interface Duration {
  readonly seconds: string | number
}

export interface Watched {
  readonly filter: string
  readonly aggregations: readonly Message[]
  readonly duration: Duration | null
  readonly comparison?: string
  readonly thresholdValue?: number
  readonly evaluationMissingData?: string
}

export interface Condition {
  name: string
  readonly displayName: string
  readonly conditionThreshold?: Watched | null
  readonly conditionAbsent?: Watched | null
}

export interface Policy {
  name: string
  readonly displayName: string
  readonly userLabels: Readonly<Record<string, string>>
  readonly documentation: {
    readonly subject: string
    readonly content: string
    readonly links: readonly { readonly displayName: string; readonly url: string }[]
  } | null
  readonly conditions: Condition[]
  readonly combiner: string
  readonly enabled: { readonly value: boolean } | null
  readonly severity: string
  readonly notificationChannels: readonly string[]
  readonly alertStrategy: {
    readonly autoClose: Duration | null
    readonly notificationPrompts: readonly string[]
    readonly notificationRateLimit: unknown
  } | null
  creationRecord?: Message
  mutationRecord?: Message
}

/** The alert policies of every project. */
export interface PolicyStore {
  readonly all: ReadonlyMap<string, Policy>
  create(request: Message): Message
  update(request: Message): Message
  delete(name: string): Message
  get(name: string): Message
  list(request: Message, pageSize: number): Message
  /** When a policy was created or last changed. */
  changedAt(name: string): number
}

export function createPolicyStore(
  now: () => number,
  series: SeriesStore,
  notificationChannels: ReadonlySet<string>,
  listedAfterMs = 0,
): PolicyStore {
  const created = new Map<string, number>()
  const all = new Map<string, Policy>()
  const changed = new Map<string, number>()
  let lastId = 1000

  function store(policy: Policy, created: Message | undefined): Policy {
    for (const condition of policy.conditions) condition.name ||= `${policy.name}/conditions/${++lastId}`
    const record = { mutateTime: { seconds: Math.floor(now() / 1000), nanos: 0 }, mutatedBy: 'emulator' }
    policy.creationRecord = created ?? record
    policy.mutationRecord = record
    all.set(policy.name, policy)
    changed.set(policy.name, now())
    return policy
  }

  function found(name: string): Policy {
    const policy = all.get(name)
    if (!policy) throw refusal('NOT_FOUND', `Could not find alert policy ${name}.`)
    return policy
  }

  return {
    all,
    create({ name, alertPolicy }) {
      const project = projectOf(name)
      const policy = { ...(alertPolicy as Policy), name: `projects/${project}/alertPolicies/${++lastId}` }
      assertPolicy(policy, project, series, notificationChannels)
      created.set(policy.name, now())
      return store(policy, undefined) as unknown as Message
    },
    update({ alertPolicy, updateMask }) {
      const before = found((alertPolicy as Policy).name)
      const policy = masked(before, alertPolicy as Policy, (updateMask as { paths?: string[] } | null)?.paths ?? [])
      const known = new Set(before.conditions.map(({ name }) => name))
      const stranger = policy.conditions.find(({ name }) => name !== '' && !known.has(name))
      if (stranger) throw invalid(`conditions.name had an invalid value of "${stranger.name}": no such condition.`)
      assertPolicy(policy, projectOf(policy.name), series, notificationChannels)
      return store({ ...policy }, before.creationRecord) as unknown as Message
    },
    delete(name) {
      found(name)
      all.delete(name)
      return {}
    },
    get: name => found(name) as unknown as Message,
    list({ name, pageToken, pageSize }, most) {
      const listed = (policy: Policy) => now() - (created.get(policy.name) ?? 0) >= listedAfterMs
      const policies = [...all.values()].filter(
        policy => policy.name.startsWith(`projects/${projectOf(name)}/`) && listed(policy),
      )
      const start = Number(pageToken || 0)
      const end = start + Math.min(Number(pageSize) || most, most)
      return { alertPolicies: policies.slice(start, end), nextPageToken: end < policies.length ? String(end) : '' }
    },
    changedAt: name => changed.get(name) ?? 0,
  }
}

/** Copies the fields of the mask to the existing policy; without a mask, replaces the policy. */
function masked(before: Policy, sent: Policy, paths: readonly string[]): Policy {
  if (paths.length === 0) return sent
  const merged = structuredClone(before)
  for (const path of paths) {
    const keys = path.split('.').map(key => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()))
    const last = keys.pop() ?? ''
    const at = (root: unknown) => keys.reduce((value, key) => (value as Message | null)?.[key], root) as Message | null
    const [target, source] = [at(merged), at(sent)]
    if (!target || !source || !(last in source)) throw invalid(`update_mask had an invalid value of "${path}".`)
    target[last] = source[last]
  }
  return merged
}

function invalid(text: string): Error {
  return refusal('INVALID_ARGUMENT', `Field alert_policy.${text}`)
}

/** Throws for what Cloud Monitoring rejects. */
function assertPolicy(
  policy: Policy,
  project: string,
  series: SeriesStore,
  notificationChannels: ReadonlySet<string>,
): void {
  const { conditions, combiner, displayName, alertStrategy } = policy
  if (displayName === '') throw invalid('display_name had an invalid value: must not be empty.')
  if (conditions.length < 1 || conditions.length > 6)
    throw invalid(`conditions had an invalid value: ${conditions.length} conditions, between 1 and 6 are allowed.`)
  if (combiner === 'COMBINE_UNSPECIFIED') throw invalid('combiner had an invalid value: must be specified.')
  assertDocumentation(policy)
  assertLabels(policy)
  if (alertStrategy?.notificationRateLimit)
    throw invalid(
      'alertStrategy.notificationRateLimit: metric-based alert policies must not specify a notification rate limit',
    )
  const autoClose = alertStrategy?.autoClose ? seconds(alertStrategy.autoClose) : 604_800
  if (autoClose < 1800 || autoClose > 604_800)
    throw invalid(
      `alertStrategy.autoClose had an invalid value of "${autoClose}s": must be between 30 minutes and 7 days.`,
    )
  for (const condition of conditions) assertCondition(condition, project, series)
  for (const name of policy.notificationChannels) assertChannel(name, notificationChannels)
}

function assertChannel(name: string, known: ReadonlySet<string>): void {
  if (!/^projects\/[^/]+\/notificationChannels\/[^/]+$/.test(name))
    throw refusal(
      'INVALID_ARGUMENT',
      `Name must begin with 'projects/{project_id}/notificationChannels/{channel_id}', got: ${name}`,
    )
  if (!known.has(name)) throw refusal('NOT_FOUND', `Notification channel not found: ${name}`)
}

function assertDocumentation({ documentation }: Policy): void {
  if (!documentation) return
  const { content, links } = documentation
  if (content.length > 8192 || Buffer.byteLength(content) > 10_240)
    throw invalid('documentation.content had an invalid value: it is too long.')
  if (links.length > 3) throw invalid('documentation.links had an invalid value: at most 3 links are allowed.')
  if (links.some(link => link.displayName === '' || link.displayName.length > 63 || link.url.length > 2083))
    throw invalid('documentation.links had an invalid value.')
}

function assertLabels({ userLabels }: Policy): void {
  const entries = Object.entries(userLabels)
  const bad = entries.find(([key, value]) => !/^[a-z][a-z0-9_-]{0,62}$/.test(key) || !/^[a-z0-9_-]{0,63}$/.test(value))
  if (bad) throw invalid(`user_labels had an invalid value: "${bad.join('": "')}".`)
}

function assertCondition(
  { conditionThreshold, conditionAbsent }: Condition,
  project: string,
  series: SeriesStore,
): void {
  const watched = conditionThreshold ?? conditionAbsent
  if (!watched) throw invalid('conditions had an invalid value: the emulator supports thresholds and absences.')
  if (watched.filter.length > 2048) throw invalid('conditions.filter had an invalid value: more than 2048 characters.')
  const { metricType, resourceType } = parseFilter(watched.filter)
  if (resourceType === null) throw invalid('conditions.filter must specify a restriction on "resource.type".')
  for (const aggregation of watched.aggregations) assertAggregation(toAggregation(aggregation))
  if (conditionThreshold) assertThreshold(conditionThreshold)
  else assertAbsence(watched)
  if (!series.knows(project, metricType))
    throw refusal(
      'NOT_FOUND',
      `Cannot find metric(s) that match type = "${metricType}". If a metric was created recently, it could take up to 10 minutes to become available. Please try again soon.`,
    )
}

function assertThreshold({ duration, comparison, evaluationMissingData }: Watched): void {
  const held = seconds(duration)
  if (held % 60 !== 0 || held > 84_600)
    throw invalid(`conditions.duration had an invalid value of "${held}s": must be a multiple of 60 seconds.`)
  if (comparison !== 'COMPARISON_GT' && comparison !== 'COMPARISON_LT')
    throw invalid(`conditions.comparison had an invalid value of "${comparison}".`)
  if (held < 60 && evaluationMissingData !== 'EVALUATION_MISSING_DATA_UNSPECIFIED')
    throw invalid('conditions.evaluation_missing_data had an invalid value: duration must be at least 60 seconds.')
}

function assertAbsence({ duration }: Watched): void {
  const absent = seconds(duration)
  if (absent < 120 || absent % 60 !== 0 || absent > 84_600)
    throw invalid(
      `conditions.duration had an invalid value of "${absent}s": must be whole minutes from 120s to 84600s.`,
    )
}

export function seconds(duration: Duration | null | undefined): number {
  return Number(duration?.seconds ?? 0)
}
