import { exactDuration, parseDuration } from '../../duration.ts'
import { asDriftwatchError } from '../../errors.ts'
import { findPolicyProblems, isPublic, type PolicyProblem } from '../../grants/model/policy.ts'
import { maskText } from '../mask.ts'
import { parsePostgresUrl } from '../postgres-url.ts'
import { type ConfigPath, formatPath, indexProblems, type Problem } from '../problem.ts'
import { longestGapMs } from '../schedule-gap.ts'
import type { ConfigFile } from '../schema.ts'
import type { AlertsFile } from '../sections/alerts.ts'
import type { DatabaseFile } from '../sections/database.ts'
import { brokenDiscover } from '../sections/discover.ts'
import { brokenHttpContract, brokenLatencies } from '../sections/http-contract.ts'
import { brokenLanes } from '../sections/lanes.ts'
import { brokenServer } from '../sections/server.ts'
import { suggestion } from './suggestion.ts'

/**
 * The rules that one value alone cannot break. They judge what has no problem so far, and leave the rest. The file has
 * `listed` stacks; what stands behind them is what `defaults` come to.
 */
export function crossFieldProblems(file: ConfigFile, known: readonly Problem[], listed: number): Problem[] {
  const { isThere, isSound } = indexProblems(known)
  const judged = isThere(['stacks'])
    ? file.stacks.map((stack, index) => ({ stack, path: ['stacks', index] as const }))
    : []
  const named = judged.slice(0, listed).filter(({ path }) => isSound([...path, 'name']))
  const firstOf = firstOfEachName(named)
  const timeoutMs = isSound(['timeout']) ? parseDuration(file.timeout) : null
  const governed = judged.filter(({ path }) => isSound([...path, 'database']))
  return [
    ...(['schedule', 'timeout', 'staleAfter'].every(key => isSound([key])) ? brokenStaleness(file) : []),
    ...(isSound(['server']) ? brokenServer(file.server) : []),
    ...(isThere(['stacks']) && isThere(['discover']) ? brokenEmptiness(file, listed) : []),
    ...(isSound(['discover']) ? brokenDiscover(file.discover) : []),
    ...(isSound(['alerts']) ? brokenAlerts(file.alerts) : []),
    ...named.flatMap(({ stack, path }) => brokenName(stack.name, path, firstOf(stack.name))),
    ...judged.flatMap(({ stack: { database }, path }) =>
      database && isSound([...path, 'database', 'url']) ? brokenUrl(database.url, [...path, 'database', 'url']) : [],
    ),
    ...governed.flatMap(({ stack, path }) =>
      stack.database ? brokenPolicy(stack.database, [...path, 'database']) : [],
    ),
    ...judged.flatMap(({ stack: { lanes, httpContract }, path }) => [
      ...(lanes && isSound([...path, 'lanes']) ? brokenLanes(lanes, [...path, 'lanes']) : []),
      ...(httpContract && isSound([...path, 'httpContract'])
        ? [
            ...brokenHttpContract(httpContract, [...path, 'httpContract']),
            ...(timeoutMs === null ? [] : brokenLatencies(httpContract, [...path, 'httpContract'], timeoutMs)),
          ]
        : []),
    ]),
  ]
}

/** Somebody who watches nothing has made a mistake. */
function brokenEmptiness({ discover }: ConfigFile, listed: number): Problem[] {
  if (listed > 0 || discover.length > 0) return []
  const message = 'must not be empty: name a stack, or say in `discover` where stacks are found'
  return [{ path: ['stacks'], at: 'value', message }]
}

/** A look must not go stale between two rounds. */
function brokenStaleness({ schedule, timeout, staleAfter }: ConfigFile): Problem[] {
  const gapMs = longestGapMs(schedule)
  if (gapMs === Number.POSITIVE_INFINITY) {
    return [{ path: ['schedule'], at: 'value', message: 'no day of the calendar fits: it would never run' }]
  }
  const leastMs = gapMs + (parseDuration(timeout) ?? 0)
  if ((parseDuration(staleAfter) ?? 0) > leastMs) return []
  const gap = `the schedule's longest gap (${exactDuration(gapMs)}) plus timeout (${timeout})`
  const remedy = `make it longer than ${exactDuration(leastMs)}, or look more often`
  return [{ path: ['staleAfter'], at: 'value', message: `${staleAfter} is not longer than ${gap}: ${remedy}` }]
}

function brokenAlerts({ routes, uptimeCheck, baseUrl, policies, channels }: AlertsFile): Problem[] {
  const names = routes.map(({ name }) => name)
  const homeless = uptimeCheck && !baseUrl.startsWith('https://')
  const needsUrl = 'an uptime check needs a `baseUrl` that begins with https://: say where Driftwatch answers'
  const blind = policies !== 'off' && !channels.includes('cloud-monitoring')
  const needsChannel = `"${policies}" needs the channel cloud-monitoring, which \`channels\` leaves out: without it nothing is published that a policy could watch`
  return [
    ...(blind ? [{ path: ['alerts', 'policies'], at: 'value', message: needsChannel } as const] : []),
    ...(homeless ? [{ path: ['alerts', 'uptimeCheck'], at: 'value', message: needsUrl } as const] : []),
    ...names.flatMap((name, index) => brokenRoute(name, names.indexOf(name), index)),
  ]
}

function brokenRoute(name: string, first: number, index: number): Problem[] {
  const at = { path: ['alerts', 'routes', index, 'name'], at: 'value' } as const
  if (name === 'default') return [{ ...at, message: '"default" is taken, by what no route takes: choose another name' }]
  if (first === index) return []
  return [{ ...at, message: `alerts.routes[${first}] is named "${name}" already: names must be unique` }]
}

interface Named {
  readonly stack: { readonly name: string }
  readonly path: ConfigPath
}

function firstOfEachName(all: readonly Named[]): (name: string) => ConfigPath | undefined {
  const byName = Map.groupBy(all, ({ stack }) => stack.name)
  return name => byName.get(name)?.[0]?.path
}

function brokenName(name: string, path: ConfigPath, first: ConfigPath = path): Problem[] {
  const at = { path: [...path, 'name'], at: 'value' } as const
  if (name === 'gate') return [{ ...at, message: '"gate" is taken, by the path /drift/gate: choose another name' }]
  if (first === path) return []
  return [{ ...at, message: `${formatPath(first)} is named "${name}" already: names must be unique` }]
}

/** What no client could connect with. Empty: as if there were no database. */
function brokenUrl(url: string, path: ConfigPath): Problem[] {
  try {
    if (url !== '') parsePostgresUrl(url)
    return []
  } catch (thrown) {
    return [{ path, at: 'value', message: asDriftwatchError(thrown).message }]
  }
}

/** What makes no sense in a policy whatever its database looks like, and names that no role of the policy has. */
function brokenPolicy(database: DatabaseFile, path: ConfigPath): Problem[] {
  const unlisted = unlistedRoles(database)
  const isTold = (inner: ConfigPath) => unlisted.some(problem => formatPath(problem.path) === formatPath(inner))
  const others = findPolicyProblems(database).filter(problem => !isTold(problem.path))
  return [...unlisted, ...others].map(problem => ({
    path: [...path, ...problem.path],
    at: problem.at,
    message: maskText(problem.message),
  }))
}

/** Who is spoken of must be a role that the policy lists, since a slip of the pen would be a right for nobody. */
function unlistedRoles({ roles, trustedRoles, schemas }: DatabaseFile): PolicyProblem[] {
  const listed = Object.keys(roles)
  const isKnown = (role: string) => listed.includes(role) || trustedRoles.includes(role) || isPublic(role)
  const message = (role: string) => `no such role in \`roles\`${suggestion(role, listed.filter(Boolean))}`
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
