import { singleImage } from '../images.ts'
import type { RegistryCallAbout } from './requests.ts'
import { errorReply, type Reply } from './routes.ts'

export const registryFaultKinds = [
  /** 403 */
  'denied',
  /** 404 without a body, as for a repository that may not be read */
  'hidden',
  /** 401 with any token */
  'unauthenticated',
  /** 429 */
  'quota',
  /** 503 */
  'unavailable',
  /** The connection is closed without a response. */
  'down',
  /** The connection is closed in the middle of the response. */
  'cut',
  /** There is never a response. */
  'hang',
  /** The correct response, after `latencyMs`. */
  'slow',
  /** Bytes that do not match the requested digest. */
  'lying',
  /** 200 with a web page, like the login page of a proxy. */
  'nonsense',
  /** The correct response without `Docker-Content-Digest`. */
  'no-digest-header',
  /** 405 for HEAD. */
  'no-head',
  /** 307 to `location`. */
  'redirect',
] as const

export type RegistryFaultKind = (typeof registryFaultKinds)[number]

/** A simulated failure. */
export interface RegistryFault {
  readonly kind: RegistryFaultKind
  /** The affected requests; default `manifests`. */
  readonly on?: 'manifests' | 'token' | 'tags' | 'repository'
  /** The number of requests to affect; default: all. */
  readonly times?: number
  readonly latencyMs?: number
  readonly location?: string
}

export interface FaultBox {
  set(fault: RegistryFault | null): void
  /** The fault of this request, or null. */
  pick(about: RegistryCallAbout): RegistryFault | null
}

export function createFaultBox(): FaultBox {
  let fault: RegistryFault | null = null
  let left = 0
  return {
    set(next) {
      fault = next
      left = next?.times ?? Number.POSITIVE_INFINITY
    },
    pick(about) {
      if (fault === null || (fault.on ?? 'manifests') !== about || left <= 0) return null
      left--
      return fault
    },
  }
}

/** Changes a response, or returns what happens to the connection instead. */
export function applyFault(fault: RegistryFault, method: string, right: Reply): Reply | 'close' | 'cut' | 'wait' {
  switch (fault.kind) {
    case 'denied':
      return errorReply(403, 'DENIED', 'requested access to the resource is denied')
    case 'hidden':
      return { status: 404 }
    case 'unauthenticated':
      return errorReply(401, 'UNAUTHORIZED', 'authentication required', { 'www-authenticate': 'Basic realm="sandbox"' })
    case 'quota':
      return errorReply(429, 'TOOMANYREQUESTS', 'too many requests')
    case 'unavailable':
      return errorReply(503, 'UNAVAILABLE', 'the registry is being served elsewhere')
    case 'down':
      return 'close'
    case 'cut':
      return 'cut'
    case 'hang':
      return 'wait'
    case 'slow':
      return right
    case 'lying':
      return { ...right, body: singleImage('a-lie').bytes }
    case 'nonsense':
      return { status: 200, headers: { 'content-type': 'text/html' }, body: Buffer.from('<html>Sign in</html>') }
    case 'no-digest-header':
      return { ...right, headers: { ...right.headers, 'docker-content-digest': '' } }
    case 'no-head':
      return method === 'HEAD'
        ? { status: 405 }
        : { ...right, headers: { ...right.headers, 'docker-content-digest': '' } }
    case 'redirect':
      return { status: 307, headers: { location: fault.location ?? '/' } }
  }
}
