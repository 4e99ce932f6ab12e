import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import type { ConfigPath, Problem } from '../problem.ts'
import { repository } from './values.ts'

/** The `lanes` key of a stack. */
export const lanesSchema = {
  type: 'array',
  description:
    'Release lanes: tags that belong to one image repository (check `image-lanes`). The check also verifies that the registry has the images of the service and the job. If absent, the check does not run.',
  items: {
    type: 'object',
    description: 'One release lane: an image repository and its tags.',
    additionalProperties: false,
    required: ['repository', 'tags'],
    properties: {
      repository: repository('The image repository of the lane.'),
      tags: {
        type: 'array',
        minItems: 1,
        description: 'The tags to check in the repository.',
        items: { type: 'string', title: 'a tag', pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$', examples: ['latest'] },
      },
      required: { type: 'boolean', default: true, description: 'Whether the tags must exist.' },
      excludes: {
        type: 'array',
        default: [],
        description: 'Repositories of other lanes. The tags must not point to a digest that one of them contains.',
        items: repository('The image repository of another lane.'),
      },
    },
  },
} as const satisfies JSONSchema

export type LanesFile = FromSchema<typeof lanesSchema>

/** One release lane. */
export interface LaneConfig {
  readonly repository: string
  /** At least one. */
  readonly tags: readonly string[]
  /** Whether the tags must exist. */
  readonly required: boolean
  /** The tags must not point to a digest that one of these repositories contains. */
  readonly excludes: readonly string[]
}

/** A lane that excludes itself would always drift. */
export function findLaneProblems(lanes: LanesFile, path: ConfigPath): Problem[] {
  return lanes.flatMap(({ repository, excludes }, index) => {
    const at = excludes.indexOf(repository)
    const message = 'a lane cannot exclude its own repository: list repositories of other lanes'
    return at < 0 ? [] : [{ path: [...path, index, 'excludes', at], at: 'value', message } as const]
  })
}
