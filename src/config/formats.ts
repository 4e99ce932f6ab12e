import { isIP } from 'node:net'
import { validate } from 'node-cron'
import { parseDuration } from '../duration.ts'
import { parseImage } from '../release/image.ts'

/** `check` answers within 30 s, and a cycle is one probe long at the least. */
const longestTimeoutMs = 25_000

/** Keeps sums of durations exact and times in range. */
const longestDurationMs = 3650 * 86_400_000

/** What a text must be beyond its pattern, by the name that the schema has for it. An empty text is nobody's. */
export const formats = {
  cron: isSchedule,
  duration: (text: string) => durationWithin(text, 0, longestDurationMs),
  'positive-duration': (text: string) => durationWithin(text, 1, longestDurationMs),
  timeout: (text: string) => durationWithin(text, 1, longestTimeoutMs),
  host: (text: string) => isIP(text) !== 0 || /^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$/.test(text),
  image: (text: string) => text === '' || parseImage(text) !== null,
  repository: (text: string) => parseImage(text)?.repository === text && /^(localhost|[^/]*[.:][^/]*)\//.test(text),
  'postgres-url': (text: string) => text === '' || isPostgresUrl(text),
} as const

/** node-cron writes out every range before it judges it, so that one number can cost minutes: no field has three digits. */
function isSchedule(text: string): boolean {
  return text.length <= 256 && !/\d{3}/.test(text) && validate(text)
}

/**
 * `postgres://user:password@host:port/name?key=value`. One of `@ / ? #` in a password must be percent-encoded: else
 * what follows would be taken for a host or a name, and be shown.
 */
function isPostgresUrl(text: string): boolean {
  const parts = /^postgres(ql)?:\/\/([^\s:@/?#]*(:[^\s@/?#]*)?@)?[^\s@/?#]*(\/[^\s@/?#]*)?(\?[^\s@#]*)?$/
  // A socket's directory is a parameter, and the host before it empty: URL takes no user without one.
  return parts.test(text) && URL.canParse(text.replace('@/', '@localhost/'))
}

function durationWithin(text: string, leastMs: number, mostMs: number): boolean {
  const ms = parseDuration(text)
  return ms !== null && ms >= leastMs && ms <= mostMs
}
