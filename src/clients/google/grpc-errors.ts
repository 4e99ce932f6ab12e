import { DriftwatchError, type ErrorCode } from '../../errors.ts'
import { prose } from '../../printable.ts'

/** gRPC's status codes that have a code of ours; the others are errors of the system itself. */
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

/** What gRPC puts before the reason why there are no credentials for a call. */
const credentialsPrefix = /^Getting metadata from plugin failed with error: /

/** The longest that a vendor's text is quoted. */
const longestQuote = 300

/** The only translator of what gRPC clients of Google throw. `where` names the request: `Cloud Run GetService projects/...`. */
export function translateGrpcError(thrown: unknown, where: string): DriftwatchError {
  if (thrown instanceof DriftwatchError)
    return new DriftwatchError(thrown.code, `${where}: ${thrown.message}`, { cause: thrown })
  const { code, details, message } = describe(thrown)
  const text = prose((details || message).replace(credentialsPrefix, ''), longestQuote)
  return new DriftwatchError(ourCode(code, text), `${where}: ${text}`, { cause: thrown })
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
