import pino, { type DestinationStream, type Logger } from 'pino'
import { type Clock, formatTime } from './clock.ts'

export type Log = Logger

/** Cloud Logging's words for pino's levels. */
const severities: Record<string, string> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/**
 * A logger whose lines Cloud Logging understands: `severity`, `message`, `time` in RFC 3339. Writes to stderr unless
 * another stream is given, since stdout belongs to results.
 */
export function createLog(options: { level: string; clock: Clock; stream?: DestinationStream }): Log {
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
