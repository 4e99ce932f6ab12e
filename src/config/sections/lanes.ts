import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import type { ConfigPath, Problem } from '../problem.ts'

const repository = (description: string) =>
  ({
    type: 'string',
    title: 'an image repository, host and path without tag and digest',
    format: 'repository',
    examples: ['us-central1-docker.pkg.dev/acme/app/runtime'],
    description,
  }) as const

/** The `lanes` part of a stack as the file says it. */
export const lanesSchema = {
  type: 'array',
  description:
    'Which image repository may appear under which tag (check `image-lanes`), beside that the registry holds what the service and the job name. Left out: not judged.',
  items: {
    type: 'object',
    description: 'One lane: a repository, and the tags that are its own.',
    additionalProperties: false,
    required: ['repository', 'tags'],
    properties: {
      repository: repository('The repository of the lane.'),
      tags: {
        type: 'array',
        minItems: 1,
        description: 'The tags of the repository that are watched.',
        items: { type: 'string', title: 'a tag', pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$', examples: ['latest'] },
      },
      required: { type: 'boolean', default: true, description: 'Whether the tags must exist.' },
      excludes: {
        type: 'array',
        default: [],
        description: 'The tags never point to a digest that one of these repositories holds.',
        items: repository('A repository of another lane.'),
      },
    },
  },
} as const satisfies JSONSchema

export type LanesFile = FromSchema<typeof lanesSchema>

/** One lane, as the config says it. */
export interface LaneConfig {
  readonly repository: string
  /** At least one. */
  readonly tags: readonly string[]
  /** Whether the tags must exist. */
  readonly required: boolean
  /** The repositories whose digests the tags never point to. */
  readonly excludes: readonly string[]
}

/** A lane that excludes itself would always be broken. */
export function brokenLanes(lanes: LanesFile, path: ConfigPath): Problem[] {
  return lanes.flatMap(({ repository, excludes }, index) => {
    const at = excludes.indexOf(repository)
    const message = 'this is the lane itself: name the repositories of the other lanes'
    return at < 0 ? [] : [{ path: [...path, index, 'excludes', at], at: 'value', message } as const]
  })
}
