import { isDeepStrictEqual } from 'node:util'
import { type EpochMs, formatTime } from '../../clock.ts'
import { maskWords } from '../../config/mask.ts'
import { shown } from '../../printable.ts'
import { type Authorship, type Condition, isUnrecognized, type Job, type Service } from '../../release/cloud-run.ts'
import { compareImages, type ImageSide, knownImage } from '../../release/compare-images.ts'
import { distinctImages, formatImage } from '../../release/image.ts'
import type { RegistryAnswers } from '../../release/registry-answers.ts'
import { type ContainerImage, isYoung } from '../../release/release.ts'
import type { UnknownReason } from '../../release/unknown-reason.ts'
import { cannotJudge, differs, inSync, type Part, toSentence } from '../finding.ts'

/** Decides whether a rollout explains a difference: the time of the observation, and how long a rollout may take. */
export interface Grace {
  readonly observedAt: EpochMs
  readonly rolloutGraceMs: number
}

/** Of Cloud Run's messages. Its logs have the whole text. */
const longestMessage = 300

/** Who changed it last and when, as far as Cloud Run reports it. */
export function describeLastChange({ lastModifier, client, updateTime }: Authorship): string | null {
  const time = updateTime !== null && `at ${formatTime(updateTime)}`
  const known = [lastModifier && `by ${lastModifier}`, client && `with ${client}`, time].filter(word => word)
  return known.length > 0 ? `changed ${known.join(' ')}` : null
}

/** `pending` during the grace period, which starts when the younger of the two sides changed. */
export function applyGrace(changedAt: EpochMs | null, { observedAt, rolloutGraceMs }: Grace): 'pending' | 'drifted' {
  return isYoung(changedAt, observedAt, rolloutGraceMs) ? 'pending' : 'drifted'
}

/** Whether Cloud Run has applied the last change of a service or job. */
export function judgeLastChange(
  kind: 'service' | 'job',
  change: 'rollout' | 'update',
  resource: Service | Job,
  grace: Grace,
): Part {
  const { terminalCondition: condition, reconciling } = resource
  const subject = `${kind} ${resource.name}`
  const via = describeLastChange(resource)
  if (condition && isUnrecognized(condition.state)) {
    return cannotJudge(reportUnrecognizedState(subject, condition.state.unrecognized))
  }
  if (reconciling || condition?.state === 'reconciling' || condition?.state === 'pending') {
    const status = applyGrace(resource.updateTime, grace)
    const summary = `Cloud Run is still applying the last ${change} of ${subject}.`
    return differs(status, summary, { path: `${kind}.reconciling`, expected: 'reconciled', actual: 'reconciling', via })
  }
  if (condition?.state === 'succeeded') return inSync
  if (condition?.state === 'failed') {
    const summary = toSentence(`the last ${change} of ${subject} failed${describeReason(condition)}`)
    const actual = describeFailure(condition)
    return differs('drifted', summary, { path: `${kind}.${change}`, expected: 'succeeded', actual, via })
  }
  const message = `${subject} does not report whether its last ${change} succeeded`
  return cannotJudge({ code: 'CONDITION_ABSENT', message })
}

/** A failed condition in Cloud Run's own words. They can be long, so a summary has only the reason. */
export function describeFailure({ reason, message }: Condition): string {
  return [reason, shown(message, longestMessage)].filter(text => text).join(': ') || 'Cloud Run gives no reason'
}

/** The end of a summary. */
export function describeReason(condition: Condition | null): string {
  return condition?.reason ? `: ${condition.reason}` : ''
}

export function reportUnrecognizedState(subject: string, value: string): UnknownReason {
  const message = `${subject} is in state ${value}, which this version of Driftwatch does not recognize`
  return { code: 'UNRECOGNIZED_VALUE', message }
}

/** Drifted if there are several containers, and none has the configured name. */
export function judgeContainer(image: ContainerImage, wanted: string | null, path: string, subject: string): Part {
  switch (image.kind) {
    case 'found':
      return inSync
    case 'unknown':
      return cannotJudge(image.reason)
    case 'missing': {
      const actual = image.names.join(', ')
      const summary = toSentence(`${subject} has no container ${wanted}; it has ${actual}`)
      return differs('drifted', summary, { path, kind: 'missing', expected: wanted, actual })
    }
  }
}

/** Compares two images; `status` is that of a difference. */
export function judgeImages(
  pair: { readonly expected: ImageSide; readonly actual: ImageSide; readonly answers: RegistryAnswers },
  words: {
    readonly path: string
    readonly summary: (expected: string, actual: string) => string
    readonly via: string | null
  },
  status: 'pending' | 'drifted',
): Part {
  const { expected, actual } = pair
  const comparison = compareImages(expected, actual, pair.answers)
  const notes = comparison.note === null ? [] : [comparison.note]
  const [wanted, found] = [knownImage(expected, pair.answers), knownImage(actual, pair.answers)]
  const [ofExpected, ofActual] = [formatImage(wanted), formatImage(found)]
  switch (comparison.result) {
    case 'equal':
      return { status: 'in_sync', notes }
    case 'different': {
      const [a, b] = distinctImages(wanted, found)
      const difference = { path: words.path, expected: ofExpected, actual: ofActual, via: words.via }
      return differs(status, words.summary(a, b), difference, notes)
    }
    case 'unresolved': {
      const [a, b] = distinctImages(wanted, found)
      const message = `cannot compare ${b} with ${a}: ${comparison.reason}`
      return cannotJudge({ code: 'IMAGE_UNRESOLVED', message }, status)
    }
  }
}

/** Compares a command or its args as an exact list. Secrets are masked in the texts. */
export function judgeWords(
  lists: { readonly expected: readonly string[]; readonly actual: readonly string[] },
  words: {
    readonly path: string
    readonly subject: string
    readonly what: 'command' | 'args'
    readonly via: string | null
  },
  status: 'pending' | 'drifted',
): Part {
  if (isDeepStrictEqual(lists.expected, lists.actual)) return inSync
  const show = (list: readonly string[]) => JSON.stringify(maskWords(list))
  const [expected, actual] = [show(lists.expected), show(lists.actual)]
  const has = `${words.subject} has the ${words.what} ${actual}`
  const summary = toSentence(expected === actual ? `${has}; a masked value differs` : `${has} instead of ${expected}`)
  return differs(status, summary, { path: words.path, expected, actual, via: words.via })
}
