import type { CheckKind } from '../checks/check.ts'
import type { Difference } from '../checks/finding.ts'
import { findServingImage, isAllowedImage } from '../checks/parts/serving-image.ts'
import type { Status } from '../checks/status.ts'
import type { Stack } from '../config/config.ts'
import type { Observed } from '../probes/probe.ts'
import { compareImages, type ImageSide, knownImage } from '../release/compare-images.ts'
import type { Image } from '../release/image.ts'
import type { RegistryAnswers } from '../release/registry-answers.ts'
import type { Release } from '../release/release.ts'
import type { DriftwatchCommands } from './driftwatch-commands.ts'

/** The current finding of a check. */
export interface CurrentFinding {
  readonly check: CheckKind
  readonly status: Status
  readonly differences: readonly Difference[]
  /** The paths of the differences that no rollout explains. */
  readonly proven: readonly string[]
  /** The remedy so far. */
  readonly fix: string | null
  readonly advice: string | null
}

/** Everything that is known of one stack: its findings, and the observations on which they are based. */
export interface Situation {
  readonly stack: Stack
  readonly commands: DriftwatchCommands
  readonly findings: ReadonlyMap<CheckKind, CurrentFinding>
  readonly observed: Partial<Observed>
}

export function statusOf({ findings }: Situation, check: CheckKind): Status | null {
  return findings.get(check)?.status ?? null
}

/** The differences of a check that no rollout explains. */
export function provenDifferences({ findings }: Situation, check: CheckKind): readonly Difference[] {
  const { differences = [], proven = [] } = findings.get(check) ?? {}
  return differences.filter(({ path }) => proven.includes(path))
}

/** Whether a check has a proven difference at one of the paths. */
export function differsAt(situation: Situation, check: CheckKind, ...paths: readonly string[]): boolean {
  return provenDifferences(situation, check).some(({ path }) => paths.includes(path))
}

export function releaseOf({ observed }: Situation): Release | null {
  return observed.service?.release ?? null
}

export function answersOf({ observed }: Situation): RegistryAnswers {
  return observed.registry ?? new Map()
}

/** The image in service, if it is known, allowed, and not reported as absent by the registry. */
export function usableServingImage(situation: Situation): Image | null {
  const serving = findServingImage(situation.stack, releaseOf(situation))
  if (serving.kind !== 'known' || !isAllowedImage(situation.stack, serving.side.image)) return null
  const image = knownImage(serving.side, answersOf(situation))
  return isAbsent(situation, image) ? null : image
}

/** Whether the registry reports that it does not have this image. */
export function isAbsent({ observed }: Situation, { repository, tag, digest }: Image): boolean {
  const named = observed.lanes?.named ?? []
  return named.some(
    ({ image, answer }) =>
      answer.kind === 'absent' &&
      image.repository === repository &&
      (digest === null ? image.tag === tag && image.digest === null : image.digest === digest),
  )
}

export function areDifferent(situation: Situation, one: ImageSide, other: ImageSide): boolean {
  return compareImages(one, other, answersOf(situation)).result === 'different'
}
