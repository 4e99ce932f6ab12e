import { describeTarget, type PostgresTarget } from '../../config/postgres-url.ts'
import { createConcealer } from '../../config/secret.ts'
import { DriftwatchError, type ErrorCode } from '../../errors.ts'
import { vendorProse } from '../../printable.ts'

/** SQLSTATEs that differ from their class. */
const codes: Readonly<Record<string, ErrorCode>> = {
  '0A000': 'UNIMPLEMENTED',
  '25P03': 'DEADLINE_EXCEEDED',
  '25P04': 'DEADLINE_EXCEEDED',
  '28000': 'UNAUTHENTICATED',
  '28P01': 'UNAUTHENTICATED',
  '3D000': 'NOT_FOUND',
  '3F000': 'NOT_FOUND',
  '40001': 'ABORTED',
  '40P01': 'ABORTED',
  '42501': 'PERMISSION_DENIED',
  '42703': 'NOT_FOUND',
  '42704': 'NOT_FOUND',
  '42P01': 'NOT_FOUND',
  '55000': 'UNAVAILABLE',
  '55P03': 'DEADLINE_EXCEEDED',
  '57014': 'DEADLINE_EXCEEDED',
  '57P04': 'NOT_FOUND',
}

const classes: Readonly<Record<string, ErrorCode>> = {
  '08': 'UNAVAILABLE',
  '22': 'INVALID_ARGUMENT',
  '25': 'UNAVAILABLE',
  '42': 'INVALID_ARGUMENT',
  '53': 'RESOURCE_EXHAUSTED',
  '57': 'UNAVAILABLE',
}

/** Anything that the driver or the server threw, as an error with one of our codes. */
export function translatePostgresError(thrown: unknown, target: PostgresTarget): DriftwatchError {
  if (thrown instanceof DriftwatchError) return thrown
  const { code, message } = readThrown(thrown)
  // The server may repeat what it was sent.
  const conceal = createConcealer(target.password ?? '')
  const text = `${describeTarget(target)}: ${conceal(message)}${hintOf(code)}`
  return new DriftwatchError(codeOf(code, message), vendorProse(text))
}

function readThrown(thrown: unknown): { code: string; message: string } {
  const first = thrown instanceof AggregateError ? (thrown.errors[0] ?? thrown) : thrown
  if (!(first instanceof Error)) return { code: '', message: String(first) }
  const code = 'code' in first && typeof first.code === 'string' ? first.code : ''
  return { code, message: first.message }
}

function codeOf(code: string, message: string): ErrorCode {
  if (/^[0-9A-Z]{5}$/.test(code)) return codes[code] ?? classes[code.slice(0, 2)] ?? 'INTERNAL'
  return /^SASL|password/i.test(message) ? 'UNAUTHENTICATED' : 'UNAVAILABLE'
}

function hintOf(code: string): string {
  if (code === '55P03') return ' (another session holds a lock on an object that Driftwatch reads)'
  if (code === '57014') return ' (the query exceeded the timeout)'
  return ''
}

/** Whether the connection may succeed with TLS if this one had none, or the reverse. */
export function mayDependOnTls(thrown: unknown): boolean {
  const { code, message } = readThrown(thrown)
  return code === '28000' || /SSL/.test(message) || /^(ERR_(SSL|TLS)|EPROTO|CERT|DEPTH|SELF|UNABLE)/.test(code)
}
