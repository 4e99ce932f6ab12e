import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { afterRolloutSchema } from './after-rollout.ts'
import { databaseSchema } from './database.ts'
import { httpContractSchema } from './http-contract.ts'
import { lanesSchema } from './lanes.ts'
import { closed, duration, list, name, project, repository } from './values.ts'

const container = {
  type: 'string',
  title: 'a container',
  default: '',
  description: 'The container to check. If empty: the only container, or the only container with ports.',
} as const satisfies JSONSchema

const serviceSchema = {
  ...closed,
  description: 'The Cloud Run service.',
  required: ['name'],
  properties: {
    name: name('runtime', 'The name of the service.'),
    container,
    repositories: list(
      'The image repositories that the service may use. If empty, the repository is not checked.',
      repository('An image repository.'),
    ),
    expectedImage: {
      type: 'string',
      title: 'an image',
      format: 'image',
      examples: ['us-central1-docker.pkg.dev/acme/app/runtime:v7'],
      default: '',
      description: 'The image that the service must run. If empty, the image is not checked.',
    },
  },
} as const satisfies JSONSchema

const jobSchema = {
  ...closed,
  description:
    'The Cloud Run job that runs migrations. It must use the image of the service. If absent, the job checks do not run.',
  required: ['name'],
  properties: {
    name: name('runtime-migrate', 'The name of the job.'),
    container,
    command: {
      type: 'array',
      description:
        "The exact command of the job; `[]` is the image's own entrypoint. If absent, the command is not checked.",
      items: { type: 'string', title: 'a command word' },
    },
    args: {
      type: 'array',
      description:
        'The exact arguments of the job. If absent: no arguments if `command` is set, otherwise not checked.',
      items: { type: 'string', title: 'an argument' },
    },
    maxDuration: duration(
      '30m',
      'positive-duration',
      'The maximum duration of an execution. A longer one is reported as stuck.',
    ),
  },
} as const satisfies JSONSchema

/** One stack after `defaults` are merged into it: the source of its type, defaults and docs. */
export const stackSchema = {
  ...closed,
  description: 'One stack: a service, its migration job and its database.',
  required: ['name', 'project', 'region', 'service'],
  properties: {
    name: name('runtime', 'The name of the stack. Must be unique and not `gate`.'),
    project: project('The project of the stack.'),
    region: name('us-central1', 'The region of the service and the job.'),
    labels: {
      type: 'object',
      default: {},
      description: 'Your own labels. `alerts.routes` selects stacks by them.',
      additionalProperties: { type: 'string', title: 'text' },
    },
    service: serviceSchema,
    job: jobSchema,
    database: databaseSchema,
    lanes: lanesSchema,
    afterRollout: afterRolloutSchema,
    httpContract: httpContractSchema,
  },
} as const satisfies JSONSchema

/** A valid stack of the file with all defaults filled in. */
export type StackFile = FromSchema<typeof stackSchema>
