import { isUnrecognized } from '../../release/cloud-run.ts'
import { compareImages, type ImageSide } from '../../release/compare-images.ts'
import { formatImage, shortImage } from '../../release/image.ts'
import type { RegistryAnswers } from '../../release/registry-answers.ts'
import { type Release, type ServingRevision, serviceChangedAt } from '../../release/release.ts'
import { changedBy, explainable, failure, type Grace, unrecognizedState } from './cloud-run-parts.ts'
import { differs, inSync, type Part, unproven } from './part.ts'

/** That nobody serves is proven only once Cloud Run is done. */
export function judgeTraffic({ service, serving, servingUnknown }: Release, grace: Grace): Part {
  if (servingUnknown) return unproven(servingUnknown)
  if (serving.length > 0) return inSync
  const status = service.reconciling ? explainable(service.updateTime, grace) : 'drifted'
  const difference = {
    path: 'service.traffic',
    kind: 'missing',
    expected: 'a revision that serves',
    actual: null,
    via: changedBy(service),
  } as const
  return differs(status, `no revision of service ${service.name} takes traffic`, difference)
}

export function judgeReadiness({ name, revision }: ServingRevision): Part {
  if (!revision) return inSync // The image's doubt says that it is no longer kept.
  const ready = revision.conditions.find(condition => condition.type === 'Ready')
  if (!ready || ready.state === 'unspecified') {
    return unproven({
      code: 'CONDITION_ABSENT',
      message: `revision ${name} takes traffic and does not say whether it is ready`,
    })
  }
  if (isUnrecognized(ready.state))
    return unproven(unrecognizedState(`revision ${name} is in state`, ready.state.unrecognized))
  if (ready.state === 'succeeded') return inSync
  const actual = ready.state === 'failed' ? failure(ready) : ready.state
  return differs('drifted', `revision ${name} takes traffic and is not ready: ${actual}`, {
    path: 'service.revision',
    kind: 'changed',
    expected: `${name} ready`,
    actual,
  })
}

interface SeenRevision {
  readonly name: string
  readonly side: ImageSide
}

/** All that takes traffic serves the same image; the newest revision is what the others are held against. */
export function judgeSplit(release: Release, answers: RegistryAnswers, grace: Grace): Part {
  const [newest, ...others] = release.serving.flatMap(({ name, image }) =>
    image.kind === 'found' ? [{ name, side: image.side }] : [],
  )
  if (!newest) return inSync
  const comparisons = others.map(other => compareImages(newest.side, other.side, answers))
  const notes = comparisons.flatMap(({ note }) => note ?? [])
  const status = explainable(serviceChangedAt(release, release.serving[0]?.revision ?? null), grace)
  if (comparisons.some(({ result }) => result === 'different')) {
    return split(status, newest, others, notes, changedBy(release.service))
  }
  if (comparisons.every(({ result }) => result === 'equal')) return { status: 'in_sync', notes }
  const names = [newest, ...others].map(each => each.name).join(', ')
  const message = `cannot tell whether the revisions that take traffic (${names}) run the same image`
  return unproven({ code: 'IMAGE_UNRESOLVED', message }, status === 'pending' ? 'pending' : 'unknown')
}

function split(
  status: 'pending' | 'drifted',
  newest: SeenRevision,
  others: readonly SeenRevision[],
  notes: readonly string[],
  via: string | null,
): Part {
  const all = [newest, ...others]
  const images = [...new Set(all.map(each => formatImage(each.side.image)))]
  const who = all.map(each => `${each.name} (${shortImage(each.side.image)})`).join(', ')
  const [expected, actual] = [formatImage(newest.side.image), images.join(' and ')]
  const difference = { path: 'service.traffic', kind: 'changed', expected, actual, via } as const
  return differs(status, `traffic is split between ${images.length} images: ${who}`, difference, notes)
}
