import { status } from '@grpc/grpc-js'

/** An error with gRPC code and details, which the client receives unchanged. */
export interface Refusal extends Error {
  readonly code: number
  readonly details: string
}

export type CodeName = keyof typeof status

export function refusal(code: CodeName, details: string): Refusal {
  return Object.assign(new Error(details), { code: status[code], details })
}

export function isRefusal(thrown: unknown): thrown is Refusal {
  return thrown instanceof Error && 'code' in thrown && 'details' in thrown
}

export function codeName(code: number): CodeName {
  return status[code] as CodeName
}

/** Google's error message for a code. */
export function usualDetails(code: CodeName, method: string, resource: string): string {
  const details: Partial<Record<CodeName, string>> = {
    PERMISSION_DENIED: `Permission '${permissionOf(method)}' denied on resource '${resource}' (or resource may not exist).`,
    UNAUTHENTICATED:
      'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.',
    UNAVAILABLE: 'The service is currently unavailable.',
    RESOURCE_EXHAUSTED:
      "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute per region' of service 'run.googleapis.com' for consumer 'project_number:463128594741'.",
    INTERNAL: 'Internal error encountered.',
    DEADLINE_EXCEEDED: 'Deadline expired before operation could complete.',
  }
  return details[code] ?? `${code} from ${method}`
}

/** `GetService` needs `run.services.get`, `ListRevisions` `run.revisions.list`. */
function permissionOf(method: string): string {
  const [, verb = '', noun = ''] = /^([A-Z][a-z]+)([A-Z]\w*)$/.exec(method) ?? []
  const plural = noun.endsWith('s') ? noun : `${noun}s`
  return `run.${plural.toLowerCase()}.${verb.toLowerCase()}`
}
