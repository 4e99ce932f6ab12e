/** The level at which an error is logged: `warn` needs attention soon, `error` is a bug in Driftwatch. */
type LogLevel = 'debug' | 'info' | 'warn' | 'error'

interface ErrorTraits {
  /** Whether the same request may succeed if it is retried. */
  readonly retryable: boolean
  /** The HTTP status if the error is the response to a request. */
  readonly httpStatus: number
  readonly logLevel: LogLevel
  /** A short explanation. `docs/errors.md` is compared with it. */
  readonly meaning: string
}

const probeFailure = (retryable: boolean, meaning: string): ErrorTraits => ({
  retryable,
  httpStatus: 503,
  logLevel: 'warn',
  meaning,
})
const noVerdict = (meaning: string): ErrorTraits => ({ retryable: false, httpStatus: 503, logLevel: 'info', meaning })
const callerError = (httpStatus: number, meaning: string): ErrorTraits => ({
  retryable: false,
  httpStatus,
  logLevel: 'info',
  meaning,
})
const retryLater = (httpStatus: number, meaning: string): ErrorTraits => ({
  ...callerError(httpStatus, meaning),
  retryable: true,
})

/** Every error code of Driftwatch. */
export const errorTable = {
  // A probe failed.
  UNAVAILABLE: probeFailure(true, 'The system is unreachable or overloaded.'),
  DEADLINE_EXCEEDED: probeFailure(true, 'The system did not respond in time.'),
  RESOURCE_EXHAUSTED: probeFailure(true, 'A quota is exhausted, or all connections are in use.'),
  LOOP_BLOCKED: probeFailure(
    true,
    'Driftwatch itself stalled during the probe: its event loop was blocked, or it had no CPU.',
  ),
  ABORTED: probeFailure(true, 'The system aborted the request because of a concurrent one.'),
  INTERNAL: probeFailure(true, 'The system reported an internal error.'),
  PERMISSION_DENIED: probeFailure(false, 'The credentials are valid but lack a permission.'),
  UNAUTHENTICATED: probeFailure(false, 'The credentials are missing or were rejected.'),
  NOT_FOUND: probeFailure(false, 'The resource does not exist.'),
  INVALID_ARGUMENT: probeFailure(false, 'The system rejected the request as invalid.'),
  FAILED_PRECONDITION: probeFailure(false, 'The system rejected the request because of its current state.'),
  ALREADY_EXISTS: probeFailure(false, 'A resource with this name already exists.'),
  UNIMPLEMENTED: probeFailure(false, 'The system does not support this request.'),
  QUOTA_SPENT: probeFailure(false, 'Driftwatch has used its share of the quota. It probes again in a later cycle.'),
  MALFORMED_RESPONSE: probeFailure(false, 'The response could not be parsed, or is too large.'),

  // The probe succeeded, but the check has no result.
  IMAGE_UNRESOLVED: noVerdict(
    'Two images could not be compared: no registry resolved a tag, or showed whether one of two digests is the index of the other.',
  ),
  CONTAINER_AMBIGUOUS: noVerdict('There are several containers, and the configuration does not select one.'),
  CONTAINER_ABSENT: noVerdict('The response contains no container.'),
  UNRECOGNIZED_VALUE: noVerdict('The response contains a value that this version of Driftwatch does not know.'),
  CONDITION_ABSENT: noVerdict('The response lacks the condition that reports the state of the resource.'),
  DETAIL_EXPIRED: noVerdict('A referenced revision or execution has been deleted.'),
  DEPENDS_ON: noVerdict('Another check found that the subject of this check is missing.'),
  TOO_SOON: noVerdict('The rollout is too recent to be checked.'),
  NO_TRAFFIC: noVerdict('There were too few requests for a result.'),
  NOT_OBSERVED: noVerdict('The first probe has not completed.'),
  STALE: noVerdict('The last observation is too old.'),
  LABEL_REMOVED: noVerdict('The labels of a discovered stack were removed while its service exists.'),
  NOTHING_WATCHED: noVerdict('No check is watched, so the report proves nothing.'),
  TOO_FEW_STACKS: noVerdict('Fewer stacks were found by their labels than `discover` requires.'),

  // The alerts are not set up correctly.
  EMULATOR_ABSENT: noVerdict('Cloud Run is emulated but this system is not, so Driftwatch does not use it.'),
  POLICIES_DIFFER: noVerdict(
    'The alert policies differ from the configuration. `driftwatch alerts plan` shows the differences.',
  ),
  MONITOR_SHARED: noVerdict(
    'Several installations publish under one monitor name. None of them changes alert policies, or closes incidents of the others.',
  ),

  // The caller can fix it.
  CONFIG_INVALID: callerError(500, 'The configuration is invalid.'),
  CONFIG_UNREADABLE: callerError(500, 'The configuration file cannot be read.'),
  USAGE: callerError(400, 'The command or request is invalid.'),
  STACK_NOT_FOUND: callerError(404, 'The configuration has no stack with this name.'),
  CHECK_NOT_FOUND: callerError(404, 'The stack has no check with this name.'),
  ROUTE_NOT_FOUND: callerError(404, 'The path does not exist.'),
  METHOD_NOT_ALLOWED: callerError(405, 'The path does not support this method.'),
  TOKEN_MISSING: callerError(401, 'The request has no token.'),
  TOKEN_REFUSED: callerError(401, 'The token of the request is invalid or expired.'),
  CALLER_NOT_ALLOWED: callerError(403, 'The caller is authenticated but not allowed.'),
  AUTH_NOT_CONFIGURED: callerError(403, 'The path starts an action and requires `server.auth` to be set.'),
  REQUEST_TIMEOUT: callerError(408, 'The request did not arrive in time.'),
  BODY_TOO_LARGE: callerError(413, 'The body of the request is too large.'),
  URL_TOO_LONG: callerError(414, 'The path and query of the request are too long.'),
  EXPECTATION_FAILED: callerError(417, 'The `Expect` header of the request is not supported.'),
  HEADERS_TOO_LARGE: callerError(431, 'The headers of the request are too large.'),
  RATE_LIMITED: retryLater(429, 'There were too many requests.'),
  OVERLOADED: retryLater(503, 'Driftwatch is overloaded.'),
  KEYS_UNAVAILABLE: retryLater(503, 'The keys for verifying identity tokens could not be loaded.'),
  CYCLE_FAILED: retryLater(503, 'The requested cycle did not complete.'),
  ADDRESS_UNAVAILABLE: callerError(500, 'The address to listen on is in use or not allowed.'),

  // A command that makes changes did not complete.
  REFUSED: callerError(409, 'The current state does not allow the command. Nothing was changed.'),
  NOT_CONFIRMED: callerError(400, 'The command was not confirmed. Nothing was changed.'),
  CONFLICT: callerError(409, 'The resource was changed by someone else in the meantime. The change was not made.'),
  UNCERTAIN: callerError(503, 'The response to a change was lost, and it is unknown whether the change was made.'),
  STEP_FAILED: callerError(503, 'A step of the command failed. The steps after it were not started.'),
  INTERRUPTED: callerError(503, 'The command was interrupted. Operations that it started may continue.'),

  BUG: { retryable: false, httpStatus: 500, logLevel: 'error', meaning: 'Driftwatch has a bug. Please report it.' },
} as const satisfies Record<string, ErrorTraits>

export type ErrorCode = keyof typeof errorTable

export const errorCodes: readonly ErrorCode[] = Object.keys(errorTable) as ErrorCode[]

/** An error with a code of the table. `message` says what failed, on what, and what to do. */
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

/** Converts any thrown value: a value without a code is a bug. */
export function asDriftwatchError(thrown: unknown): DriftwatchError {
  if (thrown instanceof DriftwatchError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new DriftwatchError('BUG', message, { cause: thrown })
}
