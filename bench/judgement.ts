import type { Measurement } from './row.ts'

/** What a measurement comes to. */
export interface Judgement {
  /** Of the rounds: how Driftwatch compares with the floor, or its own value where there is none. */
  readonly value: number
  readonly reached: boolean
  /** Not even within ten times of what is wanted: noise does not explain that. */
  readonly lost: boolean
}

/** Rounds are compared in pairs, and the median of them counts: what befell one round befell both of its halves. */
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
