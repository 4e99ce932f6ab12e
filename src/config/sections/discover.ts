import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { formatPath, type Problem } from '../problem.ts'
import { name, project } from './values.ts'

/** The labels of Cloud Run services and jobs by which they are found: a stack's name, and what part of it they are. */
export const discoveryLabels = { stack: 'driftwatch-stack', role: 'driftwatch-role' } as const

/** The value of the role label by the kind of resource that may carry it. */
export const discoveryRoles = { service: 'service', job: 'migrate' } as const

export const jobRules = ['required', 'optional'] as const

/** The `discover` part of the file. */
export const discoverSchema = {
  type: 'array',
  default: [],
  description:
    'Where stacks are found by the labels of their Cloud Run services and jobs. Empty: only what is listed is watched.',
  items: {
    type: 'object',
    description: 'Places in which stacks are found: each of the projects in each of the regions.',
    additionalProperties: false,
    required: ['projects', 'regions'],
    properties: {
      projects: { type: 'array', minItems: 1, description: 'The projects.', items: project('A project.') },
      regions: { type: 'array', minItems: 1, description: 'The regions.', items: name('us-central1', 'A region.') },
      jobs: {
        type: 'string',
        enum: jobRules,
        default: 'required',
        description:
          'Whether a service that is found must have a migration job: without one it is a problem, and unknown. `optional` is for places where some stacks have none.',
      },
    },
  },
} as const satisfies JSONSchema

export type DiscoverFile = FromSchema<typeof discoverSchema>

/** A project and region in which stacks are found. */
export interface DiscoveredPlace {
  readonly project: string
  readonly region: string
  readonly jobs: (typeof jobRules)[number]
}

/** What labels say of a stack. */
export interface FoundStack {
  readonly name: string
  readonly project: string
  readonly region: string
  readonly labels: Readonly<Record<string, string>>
  readonly service: string
  /** Null: it has none. */
  readonly job: string | null
}

export function placesOf(discover: DiscoverFile): DiscoveredPlace[] {
  return discover.flatMap(({ projects, regions, jobs }) =>
    projects.flatMap(project => regions.map(region => ({ project, region, jobs }))),
  )
}

/** A place that is there twice would be listed twice, and may have two rules. */
export function brokenDiscover(discover: DiscoverFile): Problem[] {
  const seen = new Map<string, string>()
  return discover.flatMap((entry, index) =>
    placesOf([entry]).flatMap(({ project, region }) => {
      const path = ['discover', index]
      const before = seen.get(`${project}/${region}`)
      seen.set(`${project}/${region}`, before ?? formatPath(path))
      if (before === undefined) return []
      return [{ path, at: 'value', message: `${before} has ${project} in ${region} already: say it once` } as const]
    }),
  )
}
