import { formatDuration } from '../../duration.ts'
import { DriftwatchError, type ErrorCode } from '../../errors.ts'
import { prose } from '../../printable.ts'

/** The gRPC status codes that have an error code of their own; the others become INTERNAL. */
const codes: Readonly<Record<number, ErrorCode>> = {
  3: 'INVALID_ARGUMENT',
  4: 'DEADLINE_EXCEEDED',
  5: 'NOT_FOUND',
  6: 'ALREADY_EXISTS',
  7: 'PERMISSION_DENIED',
  8: 'RESOURCE_EXHAUSTED',
  9: 'FAILED_PRECONDITION',
  10: 'ABORTED',
  12: 'UNIMPLEMENTED',
  14: 'UNAVAILABLE',
  16: 'UNAUTHENTICATED',
}

/** How gRPC introduces a failure to get credentials. */
const credentialsPrefix = /^Getting metadata from plugin failed with error: /

/** How gRPC reports that the client's own timeout has passed. */
const timedOut = /^Deadline exceeded after /

const maxQuoteLength = 300

/** One request to an API of Google's, as errors name it. */
export interface GoogleRequest {
  /** `Cloud Run` */
  readonly system: string
  /** `GetService` */
  readonly method: string
  /** A resource name, such as `projects/acme/locations/us-central1/services/runtime`. */
  readonly resource: string
  readonly timeoutMs: number
}

/** The only translator of what Google's gRPC clients throw. */
export function translateGrpcError(thrown: unknown, request: GoogleRequest): DriftwatchError {
  if (thrown instanceof DriftwatchError) return failure(thrown.code, request, thrown.message, thrown)
  const { code, details, message } = describe(thrown)
  const text = prose((details || message).replace(credentialsPrefix, ''), maxQuoteLength)
  if (timedOut.test(text)) return timeoutError(request, thrown)
  return failure(ourCode(code, text), request, text, thrown)
}

/** For a request that got no response in time. */
export function timeoutError({ system, method, resource, timeoutMs }: GoogleRequest, cause: unknown): DriftwatchError {
  const allowed = formatDuration(timeoutMs < 1000 ? timeoutMs : Math.round(timeoutMs / 1000) * 1000)
  const message = `${system} did not respond to ${method}${targetOf(resource)} within ${allowed}`
  return new DriftwatchError('DEADLINE_EXCEEDED', message, { cause })
}

function failure(
  code: ErrorCode,
  { system, method, resource }: GoogleRequest,
  text: string,
  cause: unknown,
): DriftwatchError {
  return new DriftwatchError(code, `${system} ${method}${targetOf(resource)} failed: ${text}`, { cause })
}

/** ` for "runtime" (acme, us-central1)`; without the name where a request concerns the whole place. */
function targetOf(resource: string): string {
  const [, project, , region, ...rest] = resource.split('/')
  if (!/^projects\/[^/]+\/locations\/[^/]+/.test(resource)) return ` for ${resource}`
  const name = rest.at(-1)
  return `${name && name !== '-' ? ` for "${name}"` : ''} (${project}, ${region})`
}

function ourCode(code: number | null, text: string): ErrorCode {
  if (
    /larger than max|no message received|fail(ed|ure) .*(decod|deserializ|pars)|invalid wire type|index out of range/i.test(
      text,
    )
  )
    return 'MALFORMED_RESPONSE'
  if (code !== null) return codes[code] ?? 'INTERNAL'
  // The auth library rejects before any request is made, without a code.
  return /credential|authenticat|token|ENOTFOUND metadata/i.test(text) ? 'UNAUTHENTICATED' : 'INTERNAL'
}

function describe(thrown: unknown): { code: number | null; details: string; message: string } {
  const fields: { code?: unknown; details?: unknown } = typeof thrown === 'object' && thrown !== null ? thrown : {}
  return {
    code: typeof fields.code === 'number' ? fields.code : null,
    details: typeof fields.details === 'string' ? fields.details : '',
    message: thrown instanceof Error ? thrown.message : String(thrown),
  }
}
