import { refusal } from './refusal.ts'

/** The kinds of resource, as the API names them. */
export const collections = {
  services: { message: 'Service', kind: 'SERVICE', owner: null },
  revisions: { message: 'Revision', kind: 'REVISION', owner: 'services' },
  jobs: { message: 'Job', kind: 'JOB', owner: null },
  executions: { message: 'Execution', kind: 'EXECUTION', owner: 'jobs' },
} as const

export type Collection = keyof typeof collections

const id = '[a-z]([-a-z0-9]*[a-z0-9])?'
const place = `projects/[a-z0-9]([-.:a-z0-9]*[a-z0-9])?/locations/${id}`

function namePattern(collection: Collection): RegExp {
  const { owner } = collections[collection]
  return new RegExp(`^${place}/${owner === null ? '' : `${owner}/${id}/`}${collection}/${id}$`)
}

/** `-` means every service or job; it is not allowed for locations. */
function parentPattern(collection: Collection): RegExp {
  const { owner } = collections[collection]
  return new RegExp(owner === null ? `^${place}$` : `^${place}/${owner}/(${id}|-)$`)
}

/** Throws if this is not a full name of such a resource. */
export function assertName(collection: Collection, name: string): void {
  if (namePattern(collection).test(name)) return
  throw refusal('INVALID_ARGUMENT', `The request has a malformed name '${name}': expected ${shapeOf(collection)}.`)
}

/** Throws if such resources cannot have this parent. */
export function assertParent(collection: Collection, parent: string): void {
  if (parentPattern(collection).test(parent)) return
  const shape = shapeOf(collection).split('/').slice(0, -2).join('/')
  throw refusal('INVALID_ARGUMENT', `The request has a malformed parent '${parent}': expected ${shape}.`)
}

function shapeOf(collection: Collection): string {
  const segments = ['projects', 'locations', collections[collection].owner, collection].filter(each => each !== null)
  return segments.map(segment => `${segment}/{${segment.slice(0, -1)}}`).join('/')
}

/** Whether a list of the parent contains the resource; `-` is any service or job. */
export function isUnder(parent: string, name: string): boolean {
  const above = name.split('/').slice(0, -2)
  const wanted = parent.split('/')
  return above.length === wanted.length && wanted.every((segment, index) => segment === '-' || segment === above[index])
}

/** Google's error for a resource that does not exist. */
export function notFound(collection: Collection, name: string): Error {
  const [, project, , region] = name.split('/')
  const shortName = name.slice(name.lastIndexOf('/') + 1)
  return refusal(
    'NOT_FOUND',
    `Resource '${shortName}' of kind '${collections[collection].kind}' in region '${region}' in project '${project}' does not exist.`,
  )
}
