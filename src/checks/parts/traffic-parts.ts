import { isUnrecognized } from '../../release/cloud-run.ts'
import { compareImages, type ImageSide } from '../../release/compare-images.ts'
import { formatImage, shortImage } from '../../release/image.ts'
import type { RegistryAnswers } from '../../release/registry-answers.ts'
import { type Release, type ServingRevision, serviceChangedAt } from '../../release/release.ts'
import { cannotJudge, differs, inSync, type Part, toSentence } from '../finding.ts'
import {
  applyGrace,
  describeFailure,
  describeLastChange,
  describeReason,
  type Grace,
  reportUnrecognizedState,
} from './cloud-run-parts.ts'

/** Drifted if no revision receives traffic; `pending` while Cloud Run is reconciling. */
export function judgeTraffic({ service, serving, servingUnknown }: Release, grace: Grace): Part {
  if (servingUnknown) return cannotJudge(servingUnknown)
  if (serving.length > 0) return inSync
  const status = service.reconciling ? applyGrace(service.updateTime, grace) : 'drifted'
  const [expected, via] = ['a revision that receives traffic', describeLastChange(service)]
  const summary = `No revision of service ${service.name} receives traffic.`
  return differs(status, summary, { path: 'service.traffic', expected, via })
}

export function judgeReadiness({ name, revision }: ServingRevision): Part {
  if (!revision) return inSync // Its image already reports that it is no longer available.
  const ready = revision.conditions.find(condition => condition.type === 'Ready')
  if (!ready || ready.state === 'unspecified') {
    const message = `revision ${name} receives traffic but does not report whether it is ready`
    return cannotJudge({ code: 'CONDITION_ABSENT', message })
  }
  if (isUnrecognized(ready.state))
    return cannotJudge(reportUnrecognizedState(`revision ${name}`, ready.state.unrecognized))
  if (ready.state === 'succeeded') return inSync
  const isFailed = ready.state === 'failed'
  const actual = isFailed ? describeFailure(ready) : ready.state
  const why = isFailed ? describeReason(ready) : `: ${ready.state}`
  const summary = toSentence(`revision ${name} receives traffic but is not ready${why}`)
  return differs('drifted', summary, { path: 'service.revision', expected: `${name} ready`, actual })
}

/** Drifted if manual scaling stopped the service. Its revisions keep their traffic, but no instance serves it. */
export function judgeScaling({ service }: Release): Part {
  const { name, scalingMode, manualInstanceCount } = service
  if (isUnrecognized(scalingMode)) {
    const message = `service ${name} has scaling mode ${scalingMode.unrecognized}, which this version of Driftwatch does not recognize`
    return cannotJudge({ code: 'UNRECOGNIZED_VALUE', message })
  }
  if (scalingMode !== 'manual' || manualInstanceCount !== 0) return inSync
  const summary = `Service ${name} is stopped: manual scaling is set to 0 instances.`
  const via = describeLastChange(service)
  return differs('drifted', summary, {
    path: 'service.scaling',
    expected: 'at least 1 instance',
    actual: '0 instances',
    via,
  })
}

interface RevisionImage {
  readonly name: string
  readonly side: ImageSide
}

/** Whether all revisions that receive traffic run the same image. They are compared with the newest. */
export function judgeSplit(release: Release, answers: RegistryAnswers, grace: Grace): Part {
  const [newest, ...others] = release.serving.flatMap(({ name, image }) =>
    image.kind === 'found' ? [{ name, side: image.side }] : [],
  )
  if (!newest) return inSync
  const comparisons = others.map(other => compareImages(newest.side, other.side, answers))
  const notes = comparisons.flatMap(({ note }) => note ?? [])
  const status = applyGrace(serviceChangedAt(release, release.serving[0]?.revision ?? null), grace)
  if (comparisons.some(({ result }) => result === 'different')) {
    return reportSplit(status, newest, others, notes, describeLastChange(release.service))
  }
  if (comparisons.every(({ result }) => result === 'equal')) return { status: 'in_sync', notes }
  const names = [newest, ...others].map(each => each.name).join(', ')
  const reason = comparisons.flatMap(each => (each.result === 'unresolved' ? each.reason : []))[0]
  const message = `cannot tell whether the revisions that receive traffic (${names}) run the same image: ${reason}`
  return cannotJudge({ code: 'IMAGE_UNRESOLVED', message }, status)
}

function reportSplit(
  status: 'pending' | 'drifted',
  newest: RevisionImage,
  others: readonly RevisionImage[],
  notes: readonly string[],
  via: string | null,
): Part {
  const all = [newest, ...others]
  const images = [...new Set(all.map(each => formatImage(each.side.image)))]
  const revisions = all.map(each => `${each.name} (${shortImage(each.side.image)})`).join(', ')
  const [expected, actual] = [formatImage(newest.side.image), images.join(' and ')]
  const summary = `Traffic is split between ${images.length} images: ${revisions}.`
  return differs(status, summary, { path: 'service.traffic', expected, actual, via, kind: 'changed' }, notes)
}
