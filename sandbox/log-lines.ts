/** One line of the service's JSON log as a person reads it in a terminal: `12:03:04 WARNING probe failed code=...`. */
export function readableLogLine(line: string): string {
  const entry = parseEntry(line)
  if (entry === null) return line
  const { severity, time, message, ...rest } = entry
  const clock = typeof time === 'string' ? time.slice(11, 19) : ''
  const details = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  return [clock, severity, message, ...details].filter(part => part).join(' ')
}

/** Passes a line only once until the next `forget`, because a failure repeats in every cycle. */
export function withoutRepeats(show: (line: string) => void): { take(line: string): void; forget(): void } {
  const seen = new Set<string>()
  return {
    take(line) {
      const { time, ...lasting } = parseEntry(line) ?? { line }
      const key = JSON.stringify(lasting).replaceAll(/[0-9]+/g, '#')
      if (seen.has(key)) return
      seen.add(key)
      show(line)
    },
    forget: () => seen.clear(),
  }
}

function parseEntry(line: string): Record<string, unknown> | null {
  try {
    const entry: unknown = JSON.parse(line)
    return typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>) : null
  } catch {
    return null
  }
}
