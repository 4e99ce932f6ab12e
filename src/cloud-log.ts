import pino, { type DestinationStream, type Logger } from 'pino'
import { type Clock, formatTime } from './clock.ts'

/** A log of lines that Cloud Logging understands. */
export type CloudLog = Logger

/** Cloud Logging's words for pino's levels. */
const severities: Record<string, string> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
}

/**
 * A logger whose lines Cloud Logging understands: `severity`, `message`, `time` in RFC 3339. Writes to stderr unless
 * another stream is given, since stdout belongs to results.
 */
export function createLog(options: { level: string; clock: Clock; stream?: DestinationStream }): CloudLog {
  return pino(
    {
      level: options.level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${formatTime(options.clock.now())}"`,
      formatters: { level: label => ({ severity: severities[label] ?? 'DEFAULT' }) },
    },
    options.stream ?? pino.destination({ dest: 2, sync: true }),
  )
}
