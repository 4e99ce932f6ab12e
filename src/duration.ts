const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** The pattern of a duration: `500ms`, `15m`, `1h30m`. The config schema uses it too. */
export const durationPattern = '^([0-9]+(ms|s|m|h|d))+$'

const durationText = new RegExp(durationPattern)

/** Parses `1h30m` to milliseconds, or returns null for an invalid duration. */
export function parseDuration(text: string): number | null {
  if (!durationText.test(text)) return null
  let total = 0
  for (const [, amount, unit] of text.matchAll(/([0-9]+)(ms|s|m|h|d)/g)) {
    total += Number(amount) * unitMs[unit as keyof typeof unitMs]
  }
  return total
}

const shownUnits = { d: 'd', h: 'h', m: 'min', s: 's' } as const

/** Formats milliseconds for people, with the two largest units: `2 d 4 h`, `15 min`, `40 s`, `500 ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  let rest = Math.floor(ms / 1000) * 1000
  const parts: string[] = []
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const amount = Math.floor(rest / unitMs[unit])
    rest -= amount * unitMs[unit]
    if (amount > 0) parts.push(`${amount} ${shownUnits[unit]}`)
    else if (parts.length > 0) break
    if (parts.length === 2) break
  }
  return parts.join(' ')
}

/** Formats milliseconds exactly, as `parseDuration` reads them: `1h30m`, `2d40s`. */
export function exactDuration(ms: number): string {
  let rest = ms
  const parts = (['d', 'h', 'm', 's', 'ms'] as const).map(unit => {
    const amount = Math.floor(rest / unitMs[unit])
    rest -= amount * unitMs[unit]
    return amount > 0 ? `${amount}${unit}` : ''
  })
  return parts.join('') || '0s'
}
