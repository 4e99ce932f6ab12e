import { isUnrecognized, type Service, type TrafficTarget } from './cloud-run.ts'

/** Which revisions take traffic, by short name. */
export type Serving =
  | { readonly kind: 'revisions'; readonly names: readonly string[] }
  | { readonly kind: 'nobody' }
  /** Traffic goes to something that this Driftwatch does not know. */
  | { readonly kind: 'unrecognized'; readonly value: string }

/**
 * The entries with percent > 0 of `trafficStatuses`; if there is none, of `traffic`; if there is none either, the
 * latest, which is `latestReadyRevision`. An entry with 0 percent and a tag can be addressed and serves nothing.
 */
export function servingRevisions(service: Service): Serving {
  const targets = firstWithTraffic(service.trafficStatuses, service.traffic)
  const names = new Set<string>()
  for (const target of targets ?? [latest]) {
    if (isUnrecognized(target.type)) return { kind: 'unrecognized', value: target.type.unrecognized }
    if (target.type === 'revision' && target.revision === null)
      return { kind: 'unrecognized', value: 'REVISION without a name' }
    const name = target.revision ?? service.latestReadyRevision
    if (name) names.add(name)
  }
  return names.size > 0 ? { kind: 'revisions', names: [...names] } : { kind: 'nobody' }
}

const latest: Pick<TrafficTarget, 'type' | 'revision'> = { type: 'latest', revision: null }

function firstWithTraffic(...lists: readonly (readonly TrafficTarget[])[]): readonly TrafficTarget[] | undefined {
  return lists.map(list => list.filter(target => target.percent > 0)).find(list => list.length > 0)
}
