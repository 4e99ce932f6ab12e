const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `-26h`, `-2m30s`, `+5m`: a moment relative to now. */
const relative = /^([-+])((?:[0-9]+(?:ms|s|m|h|d))+)$/

/** Converts a time relative to `now` (epoch ms) to RFC 3339; any other text is returned unchanged. */
export function absoluteTime(text: string, now: number): string {
  const match = relative.exec(text)
  if (match === null) return text
  const [, sign, amounts = ''] = match
  let distance = 0
  for (const [, amount, unit = ''] of amounts.matchAll(/([0-9]+)([a-z]+)/g)) {
    distance += Number(amount) * (unitMs[unit] ?? 0)
  }
  return new Date(sign === '-' ? now - distance : now + distance).toISOString()
}
