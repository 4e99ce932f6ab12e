import pino, { type DestinationStream, type Logger } from 'pino'
import { type Clock, formatTime } from './clock.ts'

/** A log in the format of Cloud Logging. */
export type CloudLog = Logger

/** The severities of Cloud Logging by pino level. */
const severities: Readonly<Record<string, string>> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
}

/**
 * Creates a log in the format of Cloud Logging: `severity`, `message`, `time` in RFC 3339. Writes to stderr by default,
 * because stdout is for results.
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
