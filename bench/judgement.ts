import type { Measurement } from './row.ts'

/** The verdict on a measurement. */
export interface Judgement {
  /** The median of Driftwatch compared with the floor, or its own value without a floor. */
  readonly value: number
  readonly reached: boolean
  /** More than ten times the target, which noise cannot explain. */
  readonly lost: boolean
}

/** Rounds are compared in pairs, because a disturbance affects both sides of a round; the result is their median. */
export function judge({ ours, floor, wanted }: Measurement): Judgement {
  const pairs = ours.map((value, round) => [value, floor[round] ?? Number.NaN] as const)
  if (wanted.kind === 'below') {
    const value = median(ours)
    return { value, reached: value < wanted.value, lost: value > 10 * wanted.value }
  }
  if (wanted.kind === 'plus at most') {
    const value = median(pairs.map(([mine, bare]) => mine - bare))
    return { value, reached: value <= wanted.ms, lost: value > 10 * wanted.ms }
  }
  const value = median(pairs.map(([mine, bare]) => mine / bare))
  return wanted.kind === 'at most'
    ? { value, reached: value <= wanted.ratio, lost: value > 10 * wanted.ratio }
    : { value, reached: value >= wanted.ratio, lost: value < wanted.ratio / 10 }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  const [low = Number.NaN, high = low] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  return (low + high) / 2
}
