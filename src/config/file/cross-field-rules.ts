import { exactDuration, parseDuration } from '../../duration.ts'
import { asDriftwatchError } from '../../errors.ts'
import { findPolicyProblems, isPublic, type PolicyProblem } from '../../grants/model/policy.ts'
import { suggestWord } from '../../suggestion.ts'
import { maskText } from '../mask.ts'
import { parsePostgresUrl } from '../postgres-url.ts'
import { type ConfigPath, formatPath, indexProblems, type Problem } from '../problem.ts'
import { longestGapMs, usualGapMs } from '../schedule-gap.ts'
import type { ConfigFile } from '../schema.ts'
import type { AlertsFile } from '../sections/alerts.ts'
import type { DatabaseFile } from '../sections/database.ts'
import { findDiscoverProblems } from '../sections/discover.ts'
import { findHttpContractProblems, findLatencyProblems } from '../sections/http-contract.ts'
import { findLaneProblems } from '../sections/lanes.ts'
import { findServerProblems } from '../sections/server.ts'

/**
 * Checks the rules that concern more than one value. Skips values with a known problem. The first `listed` stacks are
 * those of the file; a stack after them has only the values of `defaults`.
 */
export function findCrossFieldProblems(file: ConfigFile, known: readonly Problem[], listed: number): Problem[] {
  const { isThere, isSound } = indexProblems(known)
  const judged = isThere(['stacks'])
    ? file.stacks.map((stack, index) => ({ stack, path: ['stacks', index] as const }))
    : []
  const named = judged.slice(0, listed).filter(({ path }) => isSound([...path, 'name']))
  const firstOf = firstOfEachName(named)
  const timeoutMs = isSound(['timeout']) ? parseDuration(file.timeout) : null
  const governed = judged.filter(({ path }) => isSound([...path, 'database']))
  return [
    ...(['schedule', 'timeout', 'staleAfter'].every(key => isSound([key])) ? findStalenessProblems(file) : []),
    ...(['schedule', 'verifyEvery'].every(key => isSound([key])) ? findVerifyProblems(file) : []),
    ...(isSound(['server']) ? findServerProblems(file.server) : []),
    ...(isThere(['stacks']) && isThere(['discover']) ? findEmptinessProblems(file, listed) : []),
    ...(isSound(['discover']) ? findDiscoverProblems(file.discover) : []),
    ...(isSound(['alerts']) ? findAlertProblems(file.alerts) : []),
    ...named.flatMap(({ stack, path }) => findNameProblems(stack.name, path, firstOf(stack.name))),
    ...judged.flatMap(({ stack: { database }, path }) =>
      database && isSound([...path, 'database', 'url'])
        ? findUrlProblems(database.url, [...path, 'database', 'url'])
        : [],
    ),
    ...governed.flatMap(({ stack, path }) =>
      stack.database ? findDatabaseProblems(stack.database, [...path, 'database']) : [],
    ),
    ...judged.flatMap(({ stack: { lanes, httpContract }, path }) => [
      ...(lanes && isSound([...path, 'lanes']) ? findLaneProblems(lanes, [...path, 'lanes']) : []),
      ...(httpContract && isSound([...path, 'httpContract'])
        ? [
            ...findHttpContractProblems(httpContract, [...path, 'httpContract']),
            ...(timeoutMs === null ? [] : findLatencyProblems(httpContract, [...path, 'httpContract'], timeoutMs)),
          ]
        : []),
    ]),
  ]
}

function findEmptinessProblems({ discover }: ConfigFile, listed: number): Problem[] {
  if (listed > 0 || discover.length > 0) return []
  const message = 'must not be empty: list a stack, or set `discover`'
  return [{ path: ['stacks'], at: 'value', message }]
}

/** An observation must not become stale before the next cycle completes. */
function findStalenessProblems({ schedule, timeout, staleAfter }: ConfigFile): Problem[] {
  const gapMs = longestGapMs(schedule)
  if (gapMs === Number.POSITIVE_INFINITY) {
    return [{ path: ['schedule'], at: 'value', message: 'the schedule never runs: no date matches it' }]
  }
  const leastMs = gapMs + (parseDuration(timeout) ?? 0)
  if ((parseDuration(staleAfter) ?? 0) > leastMs) return []
  const gap = `the longest gap of the schedule (${exactDuration(gapMs)}) plus timeout (${timeout})`
  const remedy = `Use more than ${exactDuration(leastMs)}, or a schedule with shorter gaps.`
  return [{ path: ['staleAfter'], at: 'value', message: `${staleAfter} is not longer than ${gap}. ${remedy}` }]
}

/** Nothing can be verified more often than it is observed. */
function findVerifyProblems({ schedule, verifyEvery }: ConfigFile): Problem[] {
  const gapMs = usualGapMs(schedule)
  if (verifyEvery === undefined || (parseDuration(verifyEvery) ?? 0) >= gapMs || !Number.isFinite(gapMs)) return []
  const gap = exactDuration(gapMs)
  const message = `${verifyEvery} is shorter than the usual gap of the schedule (${gap}). Use at least ${gap}.`
  return [{ path: ['verifyEvery'], at: 'value', message }]
}

function findAlertProblems({ routes, uptimeCheck, baseUrl, policies, channels }: AlertsFile): Problem[] {
  const names = routes.map(({ name }) => name)
  const lacksUrl = uptimeCheck && !baseUrl.startsWith('https://')
  const needsUrl = 'an uptime check needs a `baseUrl` that starts with https://'
  const lacksChannel = policies !== 'off' && !channels.includes('cloud-monitoring')
  const needsChannel = `"${policies}" needs the metrics of cloud-monitoring: add it to \`channels\``
  return [
    ...(lacksChannel ? [{ path: ['alerts', 'policies'], at: 'value', message: needsChannel } as const] : []),
    ...(lacksUrl ? [{ path: ['alerts', 'uptimeCheck'], at: 'value', message: needsUrl } as const] : []),
    ...names.flatMap((name, index) => findRouteProblems(name, names.indexOf(name), index)),
  ]
}

function findRouteProblems(name: string, first: number, index: number): Problem[] {
  const at = { path: ['alerts', 'routes', index, 'name'], at: 'value' } as const
  if (name === 'default')
    return [{ ...at, message: '"default" is reserved for alerts without a route: choose another name' }]
  if (first === index) return []
  return [{ ...at, message: `duplicate name "${name}": alerts.routes[${first}] already uses it` }]
}

interface Named {
  readonly stack: { readonly name: string }
  readonly path: ConfigPath
}

function firstOfEachName(all: readonly Named[]): (name: string) => ConfigPath | undefined {
  const byName = Map.groupBy(all, ({ stack }) => stack.name)
  return name => byName.get(name)?.[0]?.path
}

function findNameProblems(name: string, path: ConfigPath, first: ConfigPath = path): Problem[] {
  const at = { path: [...path, 'name'], at: 'value' } as const
  if (name === 'gate') return [{ ...at, message: '"gate" is reserved for the path /drift/gate: choose another name' }]
  if (first === path) return []
  return [{ ...at, message: `duplicate name "${name}": ${formatPath(first)} already uses it` }]
}

/** An empty URL disables the database checks. */
function findUrlProblems(url: string, path: ConfigPath): Problem[] {
  try {
    if (url !== '') parsePostgresUrl(url)
    return []
  } catch (thrown) {
    return [{ path, at: 'value', message: asDriftwatchError(thrown).message }]
  }
}

/** Finds contradictions in a policy, and references to unlisted roles. */
function findDatabaseProblems(database: DatabaseFile, path: ConfigPath): Problem[] {
  const unlisted = unlistedRoles(database)
  const isReported = (inner: ConfigPath) => unlisted.some(problem => formatPath(problem.path) === formatPath(inner))
  const others = findPolicyProblems(database).filter(problem => !isReported(problem.path))
  return [...unlisted, ...others].map(problem => ({
    path: [...path, ...problem.path],
    at: problem.at,
    message: maskText(problem.message),
  }))
}

/** Every role that a schema refers to must be listed, so that a typo is found. */
function unlistedRoles({ roles, trustedRoles, schemas }: DatabaseFile): PolicyProblem[] {
  const listed = Object.keys(roles)
  const isKnown = (role: string) => listed.includes(role) || trustedRoles.includes(role) || isPublic(role)
  const message = (role: string) => `unknown role: not listed in \`roles\`${suggestWord(role, listed.filter(Boolean))}`
  return Object.entries(schemas).flatMap(([name, { owner, grants, defaults }]) => [
    ...(owner && !isKnown(owner)
      ? [{ path: ['schemas', name, 'owner'], at: 'value' as const, message: message(owner) }]
      : []),
    ...Object.entries({ grants, defaults }).flatMap(([part, byRole]) =>
      Object.keys(byRole)
        .filter(role => !isKnown(role))
        .map(role => ({ path: ['schemas', name, part, role], at: 'key' as const, message: message(role) })),
    ),
  ])
}
