import { type CodeName, type Refusal, refusal, usualDetails } from './refusal.ts'

/** A simulated failure. The first fault that matches a call applies. */
export interface Fault {
  /** A method name or pattern: `GetService`, `List*`. Default: every method. */
  readonly method?: string
  /** The resource (for a list: the parent), by full name or the end of it; `*` is any text. Default: every resource. */
  readonly resource?: string
  /** The gRPC status of the response: `PERMISSION_DENIED`, `UNAVAILABLE`, ... */
  readonly code?: CodeName
  /** The error message; default: as Google writes it. */
  readonly message?: string
  /** The number of calls to affect; default: all. */
  readonly times?: number
  /** The delay of the response, which is correct without `code`. */
  readonly latencyMs?: number
  /** There is never a response. */
  readonly hang?: boolean
  /** The request is executed, but its response is lost: with `code` or `hang`. */
  readonly afterwards?: boolean
  /** The response is a message without fields. */
  readonly empty?: boolean
  /** Each page of a list has a next one: the first page again, with a new token. */
  readonly endless?: boolean
  /** The locations that a list reports as unreachable. */
  readonly unreachable?: readonly string[]
}

/** Selects the fault of each call, and counts the calls of limited faults. */
export function faultPicker(faults: readonly Fault[]): (method: string, resource: string) => Fault | null {
  const left = faults.map(fault => fault.times ?? Number.POSITIVE_INFINITY)
  return (method, resource) => {
    const index = faults.findIndex((fault, at) => (left[at] ?? 0) > 0 && fits(fault, method, resource))
    if (index === -1) return null
    left[index] = (left[index] ?? 0) - 1
    return faults[index] ?? null
  }
}

function fits(fault: Fault, method: string, resource: string): boolean {
  return glob(fault.method ?? '*', '').test(method) && glob(fault.resource ?? '*', '(.*/)?').test(resource)
}

function glob(pattern: string, before: string): RegExp {
  const escaped = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')
  return new RegExp(`^${before}${escaped}$`)
}

/** The error of a fault; null if it only delays or empties the response. */
export function refusalOf(fault: Fault, method: string, resource: string): Refusal | null {
  if (fault.code === undefined) return null
  return refusal(fault.code, fault.message ?? usualDetails(fault.code, method, resource))
}
