import { isUnrecognized, type Service, type TrafficTarget } from './cloud-run.ts'

/** The revisions that receive traffic, by short name. */
export type Serving =
  | {
      readonly kind: 'revisions'
      readonly names: readonly string[]
      /** The percentage of traffic of each. */
      readonly shares: ReadonlyMap<string, number>
    }
  | { readonly kind: 'none' }
  /** Traffic goes to a target that this version does not know. */
  | { readonly kind: 'unrecognized'; readonly value: string }

/**
 * The entries of `trafficStatuses` with percent > 0, or else those of `traffic`, or else `latestReadyRevision`. An entry
 * with 0 percent and a tag has an address of its own but receives no traffic.
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
  return shares.size > 0 ? { kind: 'revisions', names: [...shares.keys()], shares } : { kind: 'none' }
}

/** The percentage of traffic of each revision, by short name; empty if none receives traffic or it is unknown. */
export function sharesOf(service: Service): ReadonlyMap<string, number> {
  const serving = servingRevisions(service)
  return serving.kind === 'revisions' ? serving.shares : new Map()
}

/** Whether a new revision would receive traffic: a target is the latest revision, or no target is set. */
export function followsLatest({ traffic }: Service): boolean {
  const targets = firstWithTraffic(traffic) ?? [latest]
  return targets.some(({ revision }) => revision === null)
}

const latest = { type: 'latest', revision: null, percent: 100 } as const satisfies Partial<TrafficTarget>

type Share = Pick<TrafficTarget, 'type' | 'revision' | 'percent'>

function firstWithTraffic(...lists: readonly (readonly TrafficTarget[])[]): readonly Share[] | undefined {
  return lists.map(list => list.filter(target => target.percent > 0)).find(list => list.length > 0)
}
