/** How bad an error is for the reader of the log: `warn` is "look soon", `error` is a bug of ours. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

interface ErrorTraits {
  /** Whether the same request may succeed a moment later. */
  readonly retryable: boolean
  /** The status when the error ends an HTTP request to Driftwatch. */
  readonly httpStatus: number
  readonly logLevel: LogLevel
  /** One sentence: what it means. `docs/errors.md` is compared with these. */
  readonly meaning: string
}

const look = (retryable: boolean, meaning: string): ErrorTraits => ({
  retryable,
  httpStatus: 503,
  logLevel: 'warn',
  meaning,
})
const verdict = (meaning: string): ErrorTraits => ({ retryable: false, httpStatus: 503, logLevel: 'info', meaning })
const usage = (httpStatus: number, meaning: string): ErrorTraits => ({
  retryable: false,
  httpStatus,
  logLevel: 'info',
  meaning,
})

const later = (httpStatus: number, meaning: string): ErrorTraits => ({
  retryable: true,
  httpStatus,
  logLevel: 'info',
  meaning,
})

/** Every error that Driftwatch names. The one table: a code that is not here does not exist. */
export const errorTable = {
  // A look at a system failed.
  UNAVAILABLE: look(true, 'The system could not be reached, or answered that it is overloaded.'),
  DEADLINE_EXCEEDED: look(true, 'No answer came within the time allowed.'),
  RESOURCE_EXHAUSTED: look(true, 'A quota, or every connection, is used up.'),
  LOOP_BLOCKED: look(true, 'Driftwatch itself stood still during the look: blocked, stopped, or without CPU.'),
  ABORTED: look(true, 'The system gave up on the request because of another one.'),
  INTERNAL: look(true, 'The system reported an error of its own.'),
  PERMISSION_DENIED: look(false, 'The credentials are known and may not do this.'),
  UNAUTHENTICATED: look(false, 'There are no credentials, or they were refused.'),
  NOT_FOUND: look(false, 'The system has no such thing.'),
  INVALID_ARGUMENT: look(false, 'The system refused the request as malformed.'),
  FAILED_PRECONDITION: look(false, 'The system refused the request in the state that it is in.'),
  ALREADY_EXISTS: look(false, 'The system already has something of that name.'),
  UNIMPLEMENTED: look(false, 'The system does not know this request.'),
  QUOTA_SPENT: look(false, 'The share of the quota that Driftwatch may use is spent: it looks again in a later cycle.'),
  MALFORMED_RESPONSE: look(false, 'The answer could not be understood, or is longer than any right one.'),

  // The look succeeded, and still does not prove anything.
  IMAGE_UNRESOLVED: verdict(
    'Two images could not be compared: one shows a tag, the other a digest, and no registry told.',
  ),
  CONTAINER_AMBIGUOUS: verdict('There are several containers, and nothing says which one is meant.'),
  CONTAINER_ABSENT: verdict('The answer holds no container at all.'),
  UNRECOGNIZED_VALUE: verdict('The answer holds a value that is newer than this Driftwatch.'),
  CONDITION_ABSENT: verdict('The answer lacks the condition that says how things stand.'),
  DETAIL_EXPIRED: verdict('An old revision or execution is referred to and no longer kept.'),
  DEPENDS_ON: verdict('Another check has found missing what this check would judge.'),
  TOO_SOON: verdict('A rollout is so young that what came of it cannot be told yet.'),
  NO_TRAFFIC: verdict('There were too few requests to prove anything.'),
  NOT_OBSERVED: verdict('Nothing has been looked at yet.'),
  STALE: verdict('The last look is too old to be believed.'),

  // What alerts rest on is not as it should be.
  EMULATOR_ABSENT: verdict('Cloud Run is emulated and this system is not, so it is left alone.'),
  POLICIES_DIFFER: verdict('The alert policies are not what the config wants: `driftwatch alerts plan` shows it.'),

  // Whoever called Driftwatch can mend it.
  CONFIG_INVALID: usage(500, 'The config has problems.'),
  CONFIG_UNREADABLE: usage(500, 'The config file cannot be read.'),
  USAGE: usage(400, 'The command or request makes no sense.'),
  STACK_NOT_FOUND: usage(404, 'The config has no stack of that name.'),
  CHECK_NOT_FOUND: usage(404, 'The stack has no check of that name.'),
  ROUTE_NOT_FOUND: usage(404, 'There is no such path.'),
  METHOD_NOT_ALLOWED: usage(405, 'The path is not asked that way: all but one answer GET and HEAD alone.'),
  TOKEN_MISSING: usage(401, 'The request does not say who it comes from.'),
  TOKEN_REFUSED: usage(401, 'The token of the request is not one that is accepted, or no longer.'),
  CALLER_NOT_ALLOWED: usage(403, 'The caller is known and may not ask.'),
  AUTH_NOT_CONFIGURED: usage(403, 'The path makes Driftwatch act, and is answered only where `server.auth` is set.'),
  REQUEST_TIMEOUT: usage(408, 'The request did not arrive in time.'),
  BODY_TOO_LARGE: usage(413, 'The request has a larger body than is read.'),
  URL_TOO_LONG: usage(414, 'The path and query of the request are too long.'),
  EXPECTATION_FAILED: usage(417, 'The request has an `Expect` header that nobody can meet.'),
  HEADERS_TOO_LARGE: usage(431, 'The headers of the request are too large.'),
  RATE_LIMITED: later(429, 'The same was asked for too often.'),
  OVERLOADED: later(503, 'Driftwatch has more to do than it can at this moment.'),
  KEYS_UNAVAILABLE: later(503, 'The keys that identity tokens are checked with could not be read.'),
  CYCLE_FAILED: later(503, 'The cycle that was asked for did not complete.'),
  ADDRESS_UNAVAILABLE: usage(500, 'The address to listen on is taken or not allowed.'),

  // A command that writes did not do it, or not all of it.
  REFUSED: usage(409, 'The command does not do that while things are as they are: nothing was changed.'),
  NOT_CONFIRMED: usage(400, 'Nobody agreed to what the command would change: nothing was changed.'),
  CONFLICT: usage(409, 'Somebody else changed the same thing in between: the change was not made.'),
  UNCERTAIN: usage(503, 'The answer to a write was lost, and it could not be told whether it was made.'),
  STEP_FAILED: usage(503, 'A step of a command failed: the steps after it were not begun.'),
  INTERRUPTED: usage(503, 'The command was interrupted: what it had begun may run on.'),

  BUG: { retryable: false, httpStatus: 500, logLevel: 'error', meaning: 'Driftwatch itself failed: please report it.' },
} as const satisfies Record<string, ErrorTraits>

export type ErrorCode = keyof typeof errorTable

/** An error with a code of the table. `message` says what happened, where, and what to do. */
export class DriftwatchError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'DriftwatchError'
    this.code = code
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable
  }
}

/** Anything thrown, as one of ours: what has no code is a bug. */
export function asDriftwatchError(thrown: unknown): DriftwatchError {
  if (thrown instanceof DriftwatchError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new DriftwatchError('BUG', message, { cause: thrown })
}
