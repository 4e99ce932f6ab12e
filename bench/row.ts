import type { Fleet } from './fleet.ts'

/** The target: a ratio to the floor, milliseconds above it, or an absolute value. */
export type Wanted =
  | { readonly kind: 'at most'; readonly ratio: number }
  | { readonly kind: 'at least'; readonly ratio: number }
  | { readonly kind: 'plus at most'; readonly ms: number }
  | { readonly kind: 'below'; readonly value: number }

export type Unit = 'ms' | 'MiB' | 'calls' | '/s'

/** One line of the table: the values of Driftwatch and of the floor, for each round. */
export interface Measurement {
  /** What was measured: `100 stacks`. */
  readonly at: string
  readonly unit: Unit
  readonly ours: readonly number[]
  /** In the order of `ours`; empty if the target is an absolute value. */
  readonly floor: readonly number[]
  readonly wanted: Wanted
}

/** One row of the table; each has its own file. */
export interface Row {
  readonly name: string
  /** What is measured. */
  readonly title: string
  /** What it is compared with. */
  readonly floor: string
  /** Whether `--quick` includes it. */
  readonly quick: boolean
  measure(context: Bench): Promise<readonly Measurement[]>
}

/** What the rows have in common. */
export interface Bench {
  readonly quick: boolean
  readonly rounds: number
  /** The fleet sizes, in stacks. */
  sizes(...wanted: readonly number[]): readonly number[]
  /** The fleet of a size, started at first use. */
  fleet(size: number, latencyMs?: number): Promise<Fleet>
  /** The steady cycles of a fleet, which several rows evaluate. */
  steady(size: number): Promise<Steady>
}

/** For one cycle, round by round: Driftwatch, and a process that lists the same pages. */
export interface Steady {
  readonly cpuMs: { readonly ours: readonly number[]; readonly floor: readonly number[] }
  /** MiB. */
  readonly rss: { readonly ours: readonly number[]; readonly floor: readonly number[] }
  /** The total number of cycles. */
  readonly cycles: number
}

/** Runs both alternately, so that a disturbance affects both; the order changes in each round. */
export async function interleave<Value>(
  rounds: number,
  ours: () => Promise<Value>,
  floor: () => Promise<Value>,
): Promise<{ readonly ours: Value[]; readonly floor: Value[] }> {
  const found: { ours: Value[]; floor: Value[] } = { ours: [], floor: [] }
  for (let round = 0; round < rounds; round += 1) {
    const fairQueue = [async () => found.ours.push(await ours()), async () => found.floor.push(await floor())]
    for (const turn of round % 2 === 0 ? fairQueue : fairQueue.reverse()) await turn()
  }
  return found
}

export function stacks(size: number): string {
  return size === 1 ? '1 stack' : `${size.toLocaleString('en')} stacks`
}
