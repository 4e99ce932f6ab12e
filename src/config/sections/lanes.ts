import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import type { ConfigPath, Problem } from '../problem.ts'
import { closed, list, repository } from './values.ts'

/** The `lanes` key of a stack. */
export const lanesSchema = {
  type: 'array',
  description:
    'Release lanes: tags that belong to one image repository (check `image-lanes`). The check also verifies that the registry has the images of the service and the job. If absent, the check does not run.',
  items: {
    ...closed,
    description: 'One release lane: an image repository and its tags.',
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
      excludes: list(
        'Repositories of other lanes. The tags must not point to a digest that one of them contains.',
        repository('The image repository of another lane.'),
      ),
    },
  },
} as const satisfies JSONSchema

/** One release lane. It has at least one tag. */
export type LaneConfig = Readonly<FromSchema<typeof lanesSchema>[number]>

/** A lane that excludes itself would always drift. */
export function findLaneProblems(lanes: readonly LaneConfig[], path: ConfigPath): Problem[] {
  return lanes.flatMap(({ repository, excludes }, index) => {
    const at = excludes.indexOf(repository)
    const message = 'a lane cannot exclude its own repository: list repositories of other lanes'
    return at < 0 ? [] : [{ path: [...path, index, 'excludes', at], at: 'value', message } as const]
  })
}
