import DataLoader from 'dataloader'
import { createBoundedCache } from '../../bounded-cache.ts'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import type { ServiceCounts, Window } from '../../release/rollout-telemetry.ts'
import type { Place } from '../cloud-run/cloud-run-reader.ts'
import type { MinuteCount, TelemetryClient } from './telemetry-queries.ts'

/** What a service did in a window. */
export interface Wanted extends Window {
  readonly place: Place
  readonly service: string
  /** Only what these revisions did, and what says no revision; null: all of them. */
  readonly revisions: readonly string[] | null
  /** No point of the window can still be on its way, so that what is counted holds for ever. */
  readonly settled: boolean
}

/** Counts what services did in windows, for one cycle: all services of a place are read together. */
export interface TelemetryReader {
  counts(wanted: Wanted): Promise<ServiceCounts>
}

/** Keeps across cycles what was counted and is settled. */
export interface TelemetryReaders {
  open(deadline: Deadline): TelemetryReader
}

const mostKept = 10_000

/** A filter may not be endless. */
const mostServices = 100

/** What Cloud Run itself logs of each request: what failed there is counted by its response. */
const requestLog = 'run.googleapis.com/requests'

/** Services are found one by one, some a request later than others: so long is waited for those that can be read together. */
const gatherMs = 100

export function createTelemetryReaders(client: TelemetryClient, clock: Pick<Clock, 'sleep'>): TelemetryReaders {
  const kept = createBoundedCache<ServiceCounts>(mostKept)

  /** What ends together is read together, over the longest of the windows. */
  async function readGroup(group: readonly Wanted[], deadline: Deadline): Promise<Map<string, ServiceCounts | Error>> {
    const [first] = group
    if (!first) return new Map()
    const services = [...new Set(group.map(({ service }) => service))]
    const query = { ...first.place, services, from: Math.min(...group.map(({ from }) => from)), to: first.to }
    const { project, region, from, to } = query
    try {
      const asked = { project, region, services, from, to }
      const [requests, logs] = await Promise.all([client.requests(asked, deadline), client.errorLogs(asked, deadline)])
      return new Map(group.map(wanted => [keyOf(wanted), countWithin(wanted, requests, logs)]))
    } catch (error) {
      return new Map(group.map(wanted => [keyOf(wanted), error as Error]))
    }
  }

  async function readAll(all: readonly Wanted[], deadline: Deadline): Promise<(ServiceCounts | Error)[]> {
    const open = all.filter(wanted => !kept.has(keyOf(wanted)))
    const groups = Map.groupBy(open, ({ place, to }) => `${place.project}/${place.region}/${to}`)
    const read = await Promise.all(
      [...groups.values()].flatMap(group => chunks(group, mostServices)).map(group => readGroup(group, deadline)),
    )
    const found = new Map(read.flatMap(group => [...group]))
    for (const wanted of open.filter(({ settled }) => settled)) {
      const counts = found.get(keyOf(wanted))
      if (counts && !(counts instanceof Error)) kept.set(keyOf(wanted), counts)
    }
    return all.map(wanted => found.get(keyOf(wanted)) ?? kept.get(keyOf(wanted)) ?? new Error('nothing was counted'))
  }

  return {
    open(deadline) {
      const loader = new DataLoader<Wanted, ServiceCounts, string>(all => readAll(all, deadline), {
        cacheKeyFn: keyOf,
        batchScheduleFn: read => void clock.sleep(gatherMs).then(read),
      })
      return { counts: wanted => loader.load(wanted) }
    },
  }
}

function keyOf({ place, service, revisions, from, to }: Wanted): string {
  return `${place.project}/${place.region}/${service}/${revisions?.join(',') ?? '*'}/${from}-${to}`
}

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) => all.slice(at * size, (at + 1) * size))
}

function countWithin(
  { service, revisions, from, to }: Wanted,
  requests: readonly MinuteCount[],
  logs: readonly MinuteCount[],
): ServiceCounts {
  const isWanted = (revision: string) => revisions === null || revision === '' || revisions.includes(revision)
  const sum = (counts: readonly MinuteCount[], fits: (each: MinuteCount) => boolean) =>
    counts
      .filter(
        each => each.service === service && isWanted(each.revision) && each.at > from && each.at <= to && fits(each),
      )
      .reduce((total, { count }) => total + count, 0)
  return {
    requests: sum(requests, () => true),
    serverErrors: sum(requests, ({ responseClass }) => responseClass === '5xx'),
    errorLogs: sum(logs, ({ log }) => !log.endsWith(requestLog)),
  }
}
