const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const

/** Milliseconds as a config has them, to the last one: `1h30m`, `2d40s`. What `parseDuration` reads back. */
export function exactDuration(ms: number): string {
  let rest = ms
  const parts = units.map(([unit, size]) => {
    const amount = Math.floor(rest / size)
    rest -= amount * size
    return amount > 0 ? `${amount}${unit}` : ''
  })
  return parts.join('') || '0s'
}
