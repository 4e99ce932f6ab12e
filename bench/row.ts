import type { Fleet } from './fleet.ts'

/** What is to be reached: a ratio to the floor, or so many milliseconds above it. */
export type Wanted =
  | { readonly kind: 'at most'; readonly ratio: number }
  | { readonly kind: 'at least'; readonly ratio: number }
  | { readonly kind: 'plus at most'; readonly ms: number }
  | { readonly kind: 'below'; readonly value: number }

export type Unit = 'ms' | 'MiB' | 'calls' | '/s'

/** One line of the table: what Driftwatch took beside the floor, in each round. */
export interface Measurement {
  /** Of what: `100 stacks`. */
  readonly at: string
  readonly unit: Unit
  readonly ours: readonly number[]
  /** Round by round beside `ours`; empty where what is wanted is no ratio. */
  readonly floor: readonly number[]
  readonly wanted: Wanted
}

/** One row of the table, in a file of its own. */
export interface Row {
  readonly name: string
  /** What is measured. */
  readonly title: string
  /** What it is compared with. */
  readonly floor: string
  /** Whether the quick form has it. */
  readonly quick: boolean
  measure(context: Bench): Promise<readonly Measurement[]>
}

/** What rows share. */
export interface Bench {
  readonly quick: boolean
  readonly rounds: number
  /** How many stacks, of all the sizes there are. */
  sizes(...wanted: readonly number[]): readonly number[]
  /** The fleet of a size, started when it is asked for first. */
  fleet(size: number, latencyMs?: number): Promise<Fleet>
  /** The steady work of a fleet of a size, which several rows read different things from. */
  steady(size: number): Promise<Steady>
}

/** Round by round, for one cycle: Driftwatch's, and what lists the same pages. */
export interface Steady {
  readonly cpuMs: { readonly ours: readonly number[]; readonly floor: readonly number[] }
  /** MiB. */
  readonly rss: { readonly ours: readonly number[]; readonly floor: readonly number[] }
  /** How many cycles there were in all. */
  readonly cycles: number
}

/** Does both in turns, so that what the machine does meanwhile befalls both; who is first changes from round to round. */
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
