import DataLoader from 'dataloader'
import { createBoundedCache } from '../../bounded-cache.ts'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import type { ServiceCounts, Window } from '../../release/rollout-telemetry.ts'
import type { Place } from '../cloud-run/cloud-run-reader.ts'
import type { MinuteCount, TelemetryClient } from './telemetry-queries.ts'

/** Which counts of a service are wanted. */
export interface Wanted extends Window {
  readonly place: Place
  readonly service: string
  /** Count only these revisions, and series without a revision; null: all revisions. */
  readonly revisions: readonly string[] | null
  /** No further points of the window can arrive, so that the counts are final. */
  readonly settled: boolean
}

/** Counts requests and errors of services, for one cycle; the services of a place are read together. */
export interface TelemetryReader {
  counts(wanted: Wanted): Promise<ServiceCounts>
}

/** Opens the reader of each cycle, and caches final counts between cycles. */
export interface TelemetryReaders {
  open(deadline: Deadline): TelemetryReader
  /** Drops all cached counts. */
  forget(): void
}

const maxCachedCounts = 10_000

/** In one request: Cloud Monitoring limits the length of a filter. */
const maxServices = 100

/** Cloud Run's own log of requests: failed requests are counted by their response. */
const requestLog = 'run.googleapis.com/requests'

/** Of an empty window. */
const noCounts: ServiceCounts = { requests: 0, serverErrors: 0, errorLogs: 0 }

/** How long to wait for more services that can be read together, which become known at different times. */
const batchWindowMs = 100

export function createTelemetryReaders(client: TelemetryClient, clock: Pick<Clock, 'sleep'>): TelemetryReaders {
  const cache = createBoundedCache<ServiceCounts>(maxCachedCounts)

  /** Reads windows that end together at once, over the longest of them. */
  async function readGroup(group: readonly Wanted[], deadline: Deadline): Promise<Map<string, ServiceCounts | Error>> {
    const [first] = group
    if (!first) return new Map()
    const services = [...new Set(group.map(({ service }) => service))]
    const { project, region } = first.place
    const query = { project, region, services, from: Math.min(...group.map(({ from }) => from)), to: first.to }
    try {
      const [requests, logs] = await Promise.all([client.requests(query, deadline), client.errorLogs(query, deadline)])
      return new Map(group.map(wanted => [keyOf(wanted), countWithin(wanted, requests, logs)]))
    } catch (error) {
      return new Map(group.map(wanted => [keyOf(wanted), error as Error]))
    }
  }

  async function readAll(all: readonly Wanted[], deadline: Deadline): Promise<(ServiceCounts | Error)[]> {
    const open = all.filter(wanted => !cache.has(keyOf(wanted)))
    const groups = Map.groupBy(open, ({ place, to }) => `${place.project}/${place.region}/${to}`)
    const read = await Promise.all(
      [...groups.values()].flatMap(group => chunks(group, maxServices)).map(group => readGroup(group, deadline)),
    )
    const found = new Map(read.flatMap(group => [...group]))
    for (const wanted of open.filter(({ settled }) => settled)) {
      const counts = found.get(keyOf(wanted))
      if (counts && !(counts instanceof Error)) cache.set(keyOf(wanted), counts)
    }
    return all.map(wanted => found.get(keyOf(wanted)) ?? cache.get(keyOf(wanted)) ?? new Error('no counts were read'))
  }

  return {
    open(deadline) {
      const loader = new DataLoader<Wanted, ServiceCounts, string>(all => readAll(all, deadline), {
        cacheKeyFn: keyOf,
        batchScheduleFn: read => void clock.sleep(batchWindowMs).then(read),
      })
      return { counts: async wanted => (wanted.from < wanted.to ? loader.load(wanted) : noCounts) }
    },
    forget: () => cache.clear(),
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
  const sum = (counts: readonly MinuteCount[], matches: (each: MinuteCount) => boolean) =>
    counts
      .filter(
        each => each.service === service && isWanted(each.revision) && each.at > from && each.at <= to && matches(each),
      )
      .reduce((total, { count }) => total + count, 0)
  return {
    requests: sum(requests, () => true),
    serverErrors: sum(requests, ({ responseClass }) => responseClass === '5xx'),
    errorLogs: sum(logs, ({ log }) => !log.endsWith(requestLog)),
  }
}
