import fc from 'fast-check'
import type { Test } from 'tap'

/**
 * `FUZZ_RUNS=50` makes fifty times as many runs; `FUZZ_SEED` repeats a run. Both are printed. CI uses a fixed seed, so
 * that its result does not depend on chance.
 */
const factor = Number(process.env.FUZZ_RUNS ?? 1)
const seed = Number(process.env.FUZZ_SEED ?? (process.env.CI ? 20261127 : Date.now() % 2 ** 31))

/** Tests a property with random values. A counterexample is printed with its seed and path. */
export function holds<Values extends [unknown, ...unknown[]]>(
  t: Test,
  title: string,
  property: fc.IProperty<Values>,
  runs = 100,
): void {
  const numRuns = Math.ceil(runs * factor)
  t.doesNotThrow(() => fc.assert(property, { numRuns, seed }), `${title} (${numRuns} runs, FUZZ_SEED=${seed})`)
}

export async function holdsAsync<Values extends [unknown, ...unknown[]]>(
  t: Test,
  title: string,
  property: fc.IAsyncProperty<Values>,
  runs = 100,
): Promise<void> {
  const numRuns = Math.ceil(runs * factor)
  await t.resolves(fc.assert(property, { numRuns, seed }), `${title} (${numRuns} runs, FUZZ_SEED=${seed})`)
}

/** Thrown when a property does not hold. */
export function must(condition: unknown, what: string, ...shown: readonly unknown[]): asserts condition {
  if (!condition) throw new Error([what, ...shown.map(value => fc.stringify(value))].join('\n'))
}
