import { isUnrecognized, type Service, type TrafficTarget } from './cloud-run.ts'

/** Which revisions take traffic, by short name. */
export type Serving =
  | {
      readonly kind: 'revisions'
      readonly names: readonly string[]
      /** How many percent of the traffic each of them takes. */
      readonly shares: ReadonlyMap<string, number>
    }
  | { readonly kind: 'nobody' }
  /** Traffic goes to something that this Driftwatch does not know. */
  | { readonly kind: 'unrecognized'; readonly value: string }

/**
 * The entries with percent > 0 of `trafficStatuses`; if there is none, of `traffic`; if there is none either, the
 * latest, which is `latestReadyRevision`. An entry with 0 percent and a tag can be addressed and serves nothing.
 */
export function servingRevisions(service: Service): Serving {
  const targets = firstWithTraffic(service.trafficStatuses, service.traffic)
  const shares = new Map<string, number>()
  for (const target of targets ?? [latest]) {
    if (isUnrecognized(target.type)) return { kind: 'unrecognized', value: target.type.unrecognized }
    if (target.type === 'revision' && target.revision === null)
      return { kind: 'unrecognized', value: 'REVISION without a name' }
    const name = target.revision ?? service.latestReadyRevision
    if (name) shares.set(name, (shares.get(name) ?? 0) + target.percent)
  }
  return shares.size > 0 ? { kind: 'revisions', names: [...shares.keys()], shares } : { kind: 'nobody' }
}

/** How many percent of the traffic each revision takes, by short name; empty where nobody does, or nobody can tell. */
export function sharesOf(service: Service): ReadonlyMap<string, number> {
  const serving = servingRevisions(service)
  return serving.kind === 'revisions' ? serving.shares : new Map()
}

/** Whether a new revision would get traffic by itself: some of it, or all where nothing is said, follows the latest. */
export function followsLatest({ traffic }: Service): boolean {
  const given = firstWithTraffic(traffic) ?? [latest]
  return given.some(({ revision }) => revision === null)
}

const latest = { type: 'latest', revision: null, percent: 100 } as const satisfies Partial<TrafficTarget>

type Share = Pick<TrafficTarget, 'type' | 'revision' | 'percent'>

function firstWithTraffic(...lists: readonly (readonly TrafficTarget[])[]): readonly Share[] | undefined {
  return lists.map(list => list.filter(target => target.percent > 0)).find(list => list.length > 0)
}
