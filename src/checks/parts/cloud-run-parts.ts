import { isDeepStrictEqual } from 'node:util'
import { type EpochMs, formatTime } from '../../clock.ts'
import { maskWords } from '../../config/mask.ts'
import { type Authorship, type Condition, isUnrecognized } from '../../release/cloud-run.ts'
import { compareImages, type ImageSide, knownImage } from '../../release/compare-images.ts'
import { distinctImages, formatImage } from '../../release/image.ts'
import type { RegistryAnswers } from '../../release/registry-answers.ts'
import { type ContainerImage, isYoung } from '../../release/release.ts'
import type { UnknownReason } from '../../release/unknown-reason.ts'
import { differs, inSync, type Part, unproven } from './part.ts'

/** What decides whether a rollout explains a difference: when it was looked at, and how long one may take. */
export interface Grace {
  readonly observedAt: EpochMs
  readonly rolloutGraceMs: number
}

/** Who changed it last and when, as far as Cloud Run tells. */
export function changedBy({ lastModifier, client, updateTime }: Authorship): string | null {
  const words = [
    lastModifier && `by ${lastModifier}`,
    client && `with ${client}`,
    updateTime !== null && `at ${formatTime(updateTime)}`,
  ]
  const known = words.filter(word => word)
  return known.length > 0 ? `last changed ${known.join(' ')}` : null
}

/** A difference that a rollout explains for a while, counted from the younger of its two sides. */
export function explainable(changedAt: EpochMs | null, { observedAt, rolloutGraceMs }: Grace): 'pending' | 'drifted' {
  return isYoung(changedAt, observedAt, rolloutGraceMs) ? 'pending' : 'drifted'
}

/** Whether Cloud Run has carried out the last change of a service or job. */
export function judgeLastChange(
  resource: Authorship & { readonly reconciling: boolean; readonly terminalCondition: Condition | null },
  words: {
    readonly subject: string
    readonly failedPath: string
    readonly reconcilingPath: string
    readonly change: string
  },
  grace: Grace,
): Part {
  const { terminalCondition: condition, reconciling } = resource
  const via = changedBy(resource)
  if (condition && isUnrecognized(condition.state)) {
    return unproven(unrecognizedState(`${words.subject} is in state`, condition.state.unrecognized))
  }
  if (reconciling || condition?.state === 'reconciling' || condition?.state === 'pending') {
    const status = explainable(resource.updateTime, grace)
    const summary = `Cloud Run is still carrying out the last ${words.change} of ${words.subject}`
    return differs(status, summary, {
      path: words.reconcilingPath,
      kind: 'changed',
      expected: 'settled',
      actual: 'reconciling',
      via,
    })
  }
  if (condition?.state === 'succeeded') return inSync
  if (condition?.state === 'failed') {
    const actual = failure(condition)
    const summary = `the last ${words.change} of ${words.subject} failed: ${actual}`
    return differs('drifted', summary, { path: words.failedPath, kind: 'changed', expected: 'succeeded', actual, via })
  }
  const message = `${words.subject} does not say whether its last ${words.change} succeeded`
  return unproven({ code: 'CONDITION_ABSENT', message })
}

/** A failed condition in the vendor's words. */
export function failure({ reason, message }: Condition): string {
  return [reason, message].filter(text => text).join(': ') || 'Cloud Run gives no reason'
}

export function unrecognizedState(where: string, value: string): UnknownReason {
  return { code: 'UNRECOGNIZED_VALUE', message: `${where} ${value}, which this Driftwatch does not know` }
}

/** A container that the config names and that is not among several: a difference from the config. */
export function judgeContainer(image: ContainerImage, wanted: string | null, path: string, subject: string): Part {
  switch (image.kind) {
    case 'found':
      return inSync
    case 'unknown':
      return unproven(image.reason)
    case 'missing': {
      const actual = image.names.join(', ')
      const summary = `${subject} has no container ${wanted}, only ${actual}`
      return differs('drifted', summary, { path, kind: 'missing', expected: wanted, actual })
    }
  }
}

/** Holds two images against each other; `changedAt` is when the younger of the two sides came to be. */
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
      return differs(
        status,
        words.summary(a, b),
        { path: words.path, kind: 'changed', expected: ofExpected, actual: ofActual, via: words.via },
        notes,
      )
    }
    case 'unresolved': {
      const message = `cannot tell whether ${ofActual} is ${ofExpected}: ${comparison.note ?? 'no registry told what the tag stands for'}`
      return unproven({ code: 'IMAGE_UNRESOLVED', message }, status === 'pending' ? 'pending' : 'unknown')
    }
  }
}

/** A command or its args as one exact list. They are shown as they are, but for what is written as a secret. */
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
  const summary = expected === actual ? `${has}, of which what is masked differs` : `${has} instead of ${expected}`
  return differs(status, summary, { path: words.path, kind: 'changed', expected, actual, via: words.via })
}
