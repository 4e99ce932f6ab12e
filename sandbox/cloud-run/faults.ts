import { type CodeName, type Refusal, refusal, usualDetails } from './refusal.ts'

/** What goes wrong. Of all faults that fit a call, the first is what happens to it. */
export interface Fault {
  /** `GetService`, `List*`, `*`: the method's name. Every method if left out. */
  readonly method?: string
  /** What the call is about: a full name (of a list: its parent) or the end of one, `*` being any text. All if left out. */
  readonly resource?: string
  /** The gRPC code to answer with: `PERMISSION_DENIED`, `UNAVAILABLE`, ... */
  readonly code?: CodeName
  /** The message of the error; Google's usual one if left out. */
  readonly message?: string
  /** Only the first so many calls; all of them if left out. */
  readonly times?: number
  /** How long the answer takes; without `code` it is then the right one. */
  readonly latencyMs?: number
  /** No answer ever comes. */
  readonly hang?: boolean
  /** What was asked for is done, and then the answer is lost: with `code` or `hang`. */
  readonly afterwards?: boolean
  /** The answer is a message without any field. */
  readonly empty?: boolean
  /** A page of a list always names a next one: the first again, under a new token. */
  readonly endless?: boolean
  /** The locations that a list says it could not ask. */
  readonly unreachable?: readonly string[]
}

/** Picks the fault that befalls each call, and counts those that last for some calls only. */
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

/** The error that a fault answers with, or null where it only delays or empties the answer. */
export function refusalOf(fault: Fault, method: string, resource: string): Refusal | null {
  if (fault.code === undefined) return null
  return refusal(fault.code, fault.message ?? usualDetails(fault.code, method, resource))
}
