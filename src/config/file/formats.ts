import { isIP } from 'node:net'
import { validate } from 'node-cron'
import { parseDuration } from '../../duration.ts'
import { parseImage } from '../../release/image.ts'
import { isPattern } from '../pattern.ts'

/** `driftwatch check` must finish within 30 s, and a cycle takes at least one probe. */
const maxTimeoutMs = 25_000

/** Keeps sums of durations and times within the safe range. */
const maxDurationMs = 3650 * 86_400_000

/** The longest duration of a condition that Cloud Monitoring accepts. */
const maxRetestMs = 84_600_000

/** The custom formats of the schema. */
export const formats = {
  cron: isSchedule,
  duration: (text: string) => isDurationWithin(text, 0, maxDurationMs),
  'positive-duration': (text: string) => isDurationWithin(text, 1, maxDurationMs),
  timeout: (text: string) => isDurationWithin(text, 1, maxTimeoutMs),
  minutes: (text: string) => isDurationWithin(text, 60_000, maxRetestMs) && (parseDuration(text) ?? 0) % 60_000 === 0,
  'auto-close': (text: string) => isDurationWithin(text, 86_400_000, 7 * 86_400_000),
  host: (text: string) => isIP(text) !== 0 || /^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$/.test(text),
  image: (text: string) => text === '' || parseImage(text) !== null,
  repository: (text: string) => parseImage(text)?.repository === text && /^(localhost|[^/]*[.:][^/]*)\//.test(text),
  'telemetry-window': (text: string) => isDurationWithin(text, 60_000, 86_400_000),
  'json-pointer': (text: string) => /^(\/([^~]|~[01])*)?$/.test(text),
  re2: isPattern,
  'http-origin': (text: string) => text === '' || isOrigin(text),
  'bearer-token': (text: string) => text === '' || /^[A-Za-z0-9._~+/-]{20,}=*$/.test(text),
  token: (text: string) => /^[\x21-\x7e]*$/.test(text),
} as const

/** Rejects numbers of three digits first: node-cron expands a range before it validates it, which could take minutes. */
function isSchedule(text: string): boolean {
  return text.length <= 256 && !/\d{3}/.test(text) && validate(text)
}

/** Requests carry secrets, so http is allowed only for localhost. */
function isOrigin(text: string): boolean {
  const url = URL.parse(text)
  if (!url || url.username || url.password || url.pathname !== '/' || url.search || url.hash) return false
  const local = /^(localhost|127\.[0-9.]+|\[::1\])$/.test(url.hostname)
  return url.protocol === 'https:' || (url.protocol === 'http:' && local)
}

function isDurationWithin(text: string, minMs: number, maxMs: number): boolean {
  const ms = parseDuration(text)
  return ms !== null && ms >= minMs && ms <= maxMs
}
