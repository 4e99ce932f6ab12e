import type {
  AlertPolicy,
  ChangedPolicy,
  ChangedUptimeCheck,
  NamedCondition,
  PolicyCondition,
  UptimeCheck,
  WantedPolicy,
  WantedUptimeCheck,
} from '../../clients/monitoring/alert-policy.ts'
import type { MetricDescriptor } from '../../clients/monitoring/time-series.ts'
import { kindLabel, ownerLabel, routeLabel } from './policies.ts'

/** A change to make, and its description. */
export type PolicyStep = { readonly title: string; readonly details: readonly string[] } & (
  | { readonly kind: 'create-descriptor'; readonly descriptor: MetricDescriptor }
  | { readonly kind: 'create-policy'; readonly policy: WantedPolicy }
  | { readonly kind: 'update-policy'; readonly policy: ChangedPolicy }
  | { readonly kind: 'delete-policy'; readonly name: string }
  | { readonly kind: 'create-uptime-check'; readonly check: WantedUptimeCheck }
  | { readonly kind: 'update-uptime-check'; readonly check: ChangedUptimeCheck }
  | { readonly kind: 'delete-uptime-check'; readonly name: string }
)

/** Compares the existing policies of a monitor with the wanted ones, and plans the changes. Pure. */
export function planPolicies(
  wanted: readonly WantedPolicy[],
  existing: readonly AlertPolicy[],
  monitor: string,
): { readonly steps: PolicyStep[]; readonly problems: string[]; readonly notes: string[] } {
  const own = existing.filter(({ userLabels }) => userLabels[ownerLabel] === monitor)
  const groups = ownPolicies(existing, monitor)
  const wantedKeys = new Set(wanted.map(keyOf))
  return {
    steps: [
      ...wanted.flatMap(policy => planPolicy(policy, groups.get(keyOf(policy)) ?? [])),
      ...own.filter(policy => !wantedKeys.has(keyOf(policy))).map(policy => remove(policy, 'no longer configured')),
    ],
    problems: wanted.flatMap(policy => disabled(groups.get(keyOf(policy))?.[0])),
    notes: wanted.flatMap(({ displayName }) => namesakeNotes(displayName, existing, own)),
  }
}

function planPolicy(wanted: WantedPolicy, [first, ...duplicates]: readonly AlertPolicy[]): PolicyStep[] {
  const removals = duplicates.map(removeDuplicate)
  if (first === undefined) {
    const { severity, conditions, notificationChannels } = wanted
    const channels = notificationChannels.join(', ') || '(none): set alerts.notificationChannels'
    const details = [`severity ${severity}`, ...conditions.map(({ filter }) => filter), `notifies ${channels}`]
    return [{ kind: 'create-policy', title: `create policy "${wanted.displayName}"`, details, policy: wanted }]
  }
  const policy = withExistingSettings(wanted, first)
  const { details, changed } = changes(policy, first)
  if (details.length === 0) return removals
  const title = `update policy "${first.displayName}" (${first.name})`
  return [{ kind: 'update-policy', title, details, policy: { ...policy, name: first.name, changed } }, ...removals]
}

/**
 * The wanted policy with the settings that Driftwatch does not manage: `enabled`, labels of others, and the notification
 * channels if the configuration names none.
 */
function withExistingSettings(wanted: WantedPolicy, existing: AlertPolicy): WantedPolicy {
  const hasChannels = wanted.notificationChannels.length > 0
  return {
    ...wanted,
    enabled: existing.enabled,
    userLabels: { ...existing.userLabels, ...wanted.userLabels },
    notificationChannels: hasChannels ? wanted.notificationChannels : existing.notificationChannels,
    conditions: withNames(wanted.conditions, existing.conditions),
  }
}

function disabled(policy: AlertPolicy | undefined): string[] {
  if (policy === undefined || policy.enabled) return []
  return [`policy "${policy.displayName}" (${policy.name}) is disabled. Enable it, or snooze it instead.`]
}

function remove({ name, displayName }: AlertPolicy, why: string): PolicyStep {
  return { kind: 'delete-policy', title: `delete policy "${displayName}" (${name}): ${why}`, details: [], name }
}

function removeDuplicate(policy: AlertPolicy): PolicyStep {
  return remove(policy, 'duplicate')
}

/** The policies of a monitor by their key, the one that stays first. */
function ownPolicies(existing: readonly AlertPolicy[], monitor: string): Map<string, AlertPolicy[]> {
  const own = existing.filter(({ userLabels }) => userLabels[ownerLabel] === monitor)
  return new Map([...Map.groupBy(own, keyOf)].map(([key, policies]) => [key, oldestFirst(policies)]))
}

/** Deletes the policies that exist twice. Concurrent instances keep the same ones. Pure. */
export function planDuplicates(existing: readonly AlertPolicy[], monitor: string): PolicyStep[] {
  return [...ownPolicies(existing, monitor).values()].flatMap(([, ...duplicates]) => duplicates.map(removeDuplicate))
}

/** Whether a policy of a monitor exists. */
export function hasPolicy(existing: readonly AlertPolicy[], wanted: WantedPolicy, monitor: string): boolean {
  return ownPolicies(existing, monitor).has(keyOf(wanted))
}

/** The key of a policy among those of a monitor. */
function keyOf({ userLabels }: Pick<WantedPolicy, 'userLabels'>): string {
  return `${userLabels[kindLabel]}/${userLabels[routeLabel]}`
}

/** A stable order, so that concurrent instances keep the same policy. */
function oldestFirst(policies: readonly AlertPolicy[]): AlertPolicy[] {
  return policies.toSorted((one, other) => one.createdAt - other.createdAt || (one.name < other.name ? -1 : 1))
}

/** A condition keeps the resource name of the one it replaces: with a new name its open incidents would be lost. */
function withNames(wanted: readonly PolicyCondition[], existing: readonly NamedCondition[]) {
  const free = [...existing]
  const claim = (fits: (condition: NamedCondition) => boolean) => {
    const at = free.findIndex(fits)
    return at < 0 ? undefined : free.splice(at, 1)[0]?.name
  }
  const byTitle = wanted.map(condition => claim(({ displayName }) => displayName === condition.displayName))
  return wanted.map((condition, index) => {
    const name = byTitle[index] ?? claim(({ kind }) => kind === condition.kind)
    return name === undefined ? condition : { ...condition, name }
  })
}

/** A note for each policy of others with the same display name. */
function namesakeNotes(displayName: string, existing: readonly AlertPolicy[], own: readonly AlertPolicy[]): string[] {
  return existing
    .filter(policy => policy.displayName === displayName && !own.includes(policy))
    .map(({ name }) => `${name} is also named "${displayName}", but lacks the label ${ownerLabel} and is not changed`)
}

/** Plans the changes of the uptime check. */
export function planUptimeCheck(
  wanted: WantedUptimeCheck | null,
  existing: readonly UptimeCheck[],
  monitor: string,
): PolicyStep[] {
  const own = ownUptimeChecks(wanted, existing, monitor)
  if (!wanted) return own.map(removeUptimeCheck)
  const [first, ...more] = own
  const removals = more.map(removeUptimeCheck)
  if (!first) {
    const details = [`https://${wanted.host}${wanted.path} with an OIDC token, every ${wanted.periodMs / 1000} s`]
    const title = `create uptime check "${wanted.displayName}"`
    return [{ kind: 'create-uptime-check', title, details, check: wanted }]
  }
  // The host of an uptime check cannot be changed.
  if (!isOfHost(first, wanted)) {
    return [...planUptimeCheck(null, existing, monitor), ...planUptimeCheck(wanted, [], monitor)]
  }
  const merged = { ...wanted, userLabels: { ...first.userLabels, ...wanted.userLabels } }
  const { details, changed } = changes(merged, first)
  const check = { ...merged, name: first.name, changed }
  const title = `update uptime check "${first.displayName}" (${first.name})`
  return [...(details.length > 0 ? [{ kind: 'update-uptime-check', title, details, check } as const] : []), ...removals]
}

/** Deletes the uptime checks that exist twice. Concurrent instances keep the same one. Pure. */
export function planDuplicateUptimeChecks(
  wanted: WantedUptimeCheck,
  existing: readonly UptimeCheck[],
  monitor: string,
): PolicyStep[] {
  const [, ...duplicates] = ownUptimeChecks(wanted, existing, monitor)
  return duplicates.map(removeUptimeCheck)
}

/** The uptime checks of a monitor, the one that stays first: Cloud Monitoring lists them in any order. */
function ownUptimeChecks(wanted: WantedUptimeCheck | null, existing: readonly UptimeCheck[], monitor: string) {
  const rank = (check: UptimeCheck) => (wanted && isOfHost(check, wanted) ? 0 : 1)
  return existing
    .filter(({ userLabels }) => userLabels[ownerLabel] === monitor)
    .toSorted((one, other) => rank(one) - rank(other) || (one.name < other.name ? -1 : 1))
}

/** Whether the uptime check of a monitor exists. */
export function hasUptimeCheck(existing: readonly UptimeCheck[], wanted: WantedUptimeCheck, monitor: string): boolean {
  return ownUptimeChecks(wanted, existing, monitor).some(check => isOfHost(check, wanted))
}

function isOfHost(check: WantedUptimeCheck, { host, project }: WantedUptimeCheck): boolean {
  return check.host === host && check.project === project
}

function removeUptimeCheck({ name, displayName }: UptimeCheck): PolicyStep {
  const title = `delete uptime check "${displayName}" (${name})`
  return { kind: 'delete-uptime-check', title, details: [], name }
}

/** The changed fields, described for a person and as names for the request. */
function changes<T extends object>(wanted: T, actual: T): { details: string[]; changed: (keyof T)[] } {
  const compared = (Object.keys(wanted) as (keyof T & string)[]).map(key => ({
    key,
    details: differences(wanted[key], actual[key], key),
  }))
  const differing = compared.filter(({ details }) => details.length > 0)
  return { details: differing.flatMap(({ details }) => details), changed: differing.map(({ key }) => key) }
}

/** Compares the wanted fields. Fields that Cloud Monitoring adds are ignored. */
function differences(wanted: unknown, actual: unknown, path = ''): string[] {
  if (typeof wanted !== 'object' || wanted === null) {
    if (wanted === actual) return []
    const start = typeof wanted === 'string' && typeof actual === 'string' ? startOfDifference(wanted, actual) : 0
    return [`${path}: ${show(actual, start)} -> ${show(wanted, start)}`]
  }
  const actualFields = (typeof actual === 'object' && actual !== null ? actual : {}) as Readonly<
    Record<string, unknown>
  >
  const shorter = Array.isArray(wanted) && Array.isArray(actual) && wanted.length < actual.length
  return [
    ...(shorter ? [`${path}: ${show(actual)} -> ${show(wanted)}`] : []),
    ...(shorter ? [] : Object.entries(wanted)).flatMap(([key, value]) =>
      differences(value, actualFields[key], path === '' ? key : `${path}.${key}`),
    ),
  ]
}

/** The position shortly before the first difference of two texts. */
function startOfDifference(one: string, other: string): number {
  const same = one.split('').findIndex((letter, index) => letter !== other[index])
  return Math.max(0, (same < 0 ? one.length : same) - 20)
}

function show(value: unknown, start = 0): string {
  const shown = typeof value === 'string' && start > 0 ? `...${value.slice(start)}` : value
  const text = JSON.stringify(shown) ?? '(none)'
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}
