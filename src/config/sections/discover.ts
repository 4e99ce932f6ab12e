import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { formatPath, type Problem } from '../problem.ts'
import { closed, list, name, project } from './values.ts'

/** The labels of Cloud Run services and jobs for discovery: the stack's name, and the role of the resource in it. */
export const discoveryLabels = { stack: 'driftwatch-stack', role: 'driftwatch-role' } as const

/** The value of the role label for each kind of resource. */
export const discoveryRoles = { service: 'service', job: 'migrate' } as const

/** The role of a service whose stack must not be monitored. */
export const offRole = 'off'

/** The `discover` key of the file. */
export const discoverSchema = list(
  'Where to discover stacks by the labels of Cloud Run services and jobs. If empty, only the listed stacks are watched.',
  {
    ...closed,
    description: 'Places to discover stacks in: every combination of the projects and regions.',
    required: ['projects', 'regions'],
    properties: {
      projects: { type: 'array', minItems: 1, description: 'The projects.', items: project('A project.') },
      regions: { type: 'array', minItems: 1, description: 'The regions.', items: name('us-central1', 'A region.') },
      jobs: {
        type: 'string',
        enum: ['required', 'optional'],
        default: 'required',
        description:
          'Whether a discovered service must have a migration job. With `required`, a stack without a job is `unknown`. Use `optional` if some stacks have no job.',
      },
      atLeast: {
        type: 'integer',
        title: 'a whole number, 0 or greater',
        minimum: 0,
        default: 0,
        examples: ['12'],
        description:
          'The minimum number of stacks that labels must name in all places of this entry together. With fewer, the report is `unknown`.',
      },
    },
  } as const satisfies JSONSchema,
)

export type DiscoverFile = FromSchema<typeof discoverSchema>

/** A project and region to discover stacks in. */
export interface DiscoveredPlace {
  readonly project: string
  readonly region: string
  readonly jobs: DiscoverFile[number]['jobs']
}

/** A stack as its labels describe it. */
export interface FoundStack {
  readonly name: string
  readonly project: string
  readonly region: string
  readonly labels: Readonly<Record<string, string>>
  readonly service: string
  /** Null if the stack has no job. */
  readonly job: string | null
}

export function placesOf(discover: DiscoverFile): DiscoveredPlace[] {
  return discover.flatMap(({ projects, regions, jobs }) =>
    projects.flatMap(project => regions.map(region => ({ project, region, jobs }))),
  )
}

/** Two entries for one place could have different values for `jobs`. */
export function findDiscoverProblems(discover: DiscoverFile): Problem[] {
  const seen = new Map<string, string>()
  return discover.flatMap((entry, index) =>
    placesOf([entry]).flatMap(({ project, region }) => {
      const path = ['discover', index]
      const before = seen.get(`${project}/${region}`)
      seen.set(`${project}/${region}`, before ?? formatPath(path))
      const message = `duplicate place: ${project} in ${region} is already in ${before}`
      return before === undefined ? [] : [{ path, at: 'value', message } as const]
    }),
  )
}
