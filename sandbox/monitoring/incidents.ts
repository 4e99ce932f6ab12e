import { type Aggregation, type Group, groupLabels, groupsAt, type Series, toAggregation } from './aggregate.ts'
import { type Condition, type Policy, type PolicyStore, seconds, type Watched } from './policies.ts'
import { projectOf, type SeriesStore } from './series.ts'

/** An incident of one group of series. */
export interface Incident {
  readonly policy: string
  readonly severity: string
  readonly condition: string
  /** `{ stack, check }`; empty for a condition that has one group. */
  readonly labels: Readonly<Record<string, string>>
  readonly subject: string
  readonly content: string
  readonly links: readonly string[]
  /** The notified channels. */
  readonly notificationChannels: readonly string[]
  readonly openedAt: number
  closedAt: number | null
  /** The condition is no longer met, data was absent for too long, or the condition was removed. */
  closedBy: 'recovery' | 'auto-close' | 'change' | null
}

/** The state of one group of one condition. */
interface Track {
  violatingSince: number | null
  lastData: number
  incident: Incident | null
}

export interface Incidents {
  readonly all: readonly Incident[]
  /** Evaluates all policies, step by step, up to now. */
  evaluate(): void
}

/** Cloud Monitoring evaluates policies about twice a minute. */
const stepMs = 30_000

export function createIncidents(
  now: () => number,
  series: SeriesStore,
  policies: PolicyStore,
  onIncident: (incident: Incident) => void,
): Incidents {
  const all: Incident[] = []
  const tracks = new Map<string, Track>()
  let evaluated = Math.floor(now() / stepMs) * stepMs

  function open(track: Track, policy: Policy, condition: Condition, group: Group, at: number): void {
    const incident = incidentOf(policy, condition, group.labels, at)
    track.incident = incident
    all.push(incident)
    onIncident(incident)
  }

  function close(track: Track, at: number, closedBy: Incident['closedBy']): void {
    const { incident } = track
    track.incident = null
    if (incident === null) return
    incident.closedAt = at
    incident.closedBy = closedBy
    onIncident(incident)
  }

  function trackOf(condition: Condition, key: string): Track {
    const name = `${condition.name} ${key}`
    const track = tracks.get(name) ?? { violatingSince: null, lastData: 0, incident: null }
    tracks.set(name, track)
    return track
  }

  function evaluateThreshold(
    policy: Policy,
    condition: Condition,
    watched: Watched,
    found: Series[],
    at: number,
  ): void {
    const groups = groupsAt(found, toAggregation(watched.aggregations[0]), at)
    for (const [key, group] of groups) {
      const track = trackOf(condition, key)
      track.lastData = at
      if (!violates(watched, group.value)) {
        track.violatingSince = null
        close(track, at, 'recovery')
        continue
      }
      track.violatingSince ??= at
      const held = at - track.violatingSince >= seconds(watched.duration) * 1000
      if (held && track.incident === null) open(track, policy, condition, group, at)
    }
    if (watched.evaluationMissingData === 'EVALUATION_MISSING_DATA_INACTIVE') closeMissing(condition, groups, at)
  }

  function closeMissing(condition: Condition, groups: ReadonlyMap<string, Group>, at: number): void {
    for (const [name, track] of tracks) {
      if (name.startsWith(`${condition.name} `) && !groups.has(name.slice(condition.name.length + 1)))
        close(track, at, 'recovery')
    }
  }

  /** Absence requires data after the policy was created or changed. */
  function evaluateAbsence(policy: Policy, condition: Condition, watched: Watched, found: Series[], at: number): void {
    const changedAt = Math.floor(policies.changedAt(policy.name) / 1000) * 1000
    for (const [key, { labels, last }] of lastPoints(found, toAggregation(watched.aggregations[0]), at)) {
      if (last < changedAt) continue
      const track = trackOf(condition, key)
      track.lastData = last
      const absent = at - last >= seconds(watched.duration) * 1000
      if (absent && track.incident === null && track.violatingSince !== last) {
        track.violatingSince = last
        open(track, policy, condition, { labels, value: 0 }, at)
      }
      if (!absent) close(track, at, 'recovery')
    }
  }

  function evaluateAt(at: number): void {
    const alive = new Set<string>()
    for (const policy of policies.all.values()) {
      for (const condition of policy.conditions) alive.add(condition.name)
      if (policy.enabled?.value === false) continue
      for (const condition of policy.conditions) evaluateCondition(policy, condition, at)
    }
    for (const [name, track] of tracks) {
      if (!alive.has(name.slice(0, name.indexOf(' ')))) close(track, at, 'change')
    }
  }

  function evaluateCondition(policy: Policy, condition: Condition, at: number): void {
    const { conditionThreshold, conditionAbsent } = condition
    const watched = conditionThreshold ?? conditionAbsent
    if (!watched) return
    const found = series.matching(projectOf(policy.name), watched.filter)
    if (conditionThreshold) evaluateThreshold(policy, condition, watched, found, at)
    else evaluateAbsence(policy, condition, watched, found, at)
    const autoCloseMs = seconds(policy.alertStrategy?.autoClose ?? { seconds: 604_800 }) * 1000
    for (const [name, track] of tracks) {
      if (name.startsWith(`${condition.name} `) && at - track.lastData >= autoCloseMs) close(track, at, 'auto-close')
    }
  }

  return {
    all,
    evaluate() {
      while (evaluated + stepMs <= now()) {
        evaluated += stepMs
        evaluateAt(evaluated)
      }
    },
  }
}

function violates({ comparison, thresholdValue = 0 }: Watched, value: number): boolean {
  return comparison === 'COMPARISON_GT' ? value > thresholdValue : value < thresholdValue
}

/** The time of the last point of each group. */
function lastPoints(found: readonly Series[], aggregation: Aggregation, at: number) {
  const groups = new Map<string, { labels: Record<string, string>; last: number }>()
  for (const each of found) {
    const last = each.points.findLast(point => point.at <= at)?.at
    if (last === undefined) continue
    const labels = groupLabels(each, aggregation)
    const key = JSON.stringify(labels)
    groups.set(key, { labels, last: Math.max(last, groups.get(key)?.last ?? 0) })
  }
  return groups
}

function incidentOf(
  policy: Policy,
  condition: Condition,
  fields: Readonly<Record<string, string>>,
  at: number,
): Incident {
  const { documentation } = policy
  const fill = (text: string) => text.replace(/\$\{([^}]+)\}/g, (whole, field: string) => fields[field] ?? whole)
  const labels = Object.entries(fields).map(([field, value]) => [field.slice(field.lastIndexOf('.') + 1), value])
  return {
    policy: policy.displayName,
    severity: policy.severity,
    condition: condition.displayName,
    labels: Object.fromEntries(labels),
    subject: fill(documentation?.subject ?? ''),
    content: fill(documentation?.content ?? ''),
    links: (documentation?.links ?? []).map(({ url }) => fill(url)),
    notificationChannels: policy.notificationChannels,
    openedAt: at,
    closedAt: null,
    closedBy: null,
  }
}
