import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { afterRolloutSchema } from './after-rollout.ts'
import { databaseSchema } from './database.ts'
import { httpContractSchema } from './http-contract.ts'
import { lanesSchema } from './lanes.ts'
import { duration, name, project } from './values.ts'

const container = {
  type: 'string',
  title: 'a container',
  default: '',
  description: 'Which of several containers is judged. Empty: the only one, or the only one with ports.',
} as const satisfies JSONSchema

const serviceSchema = {
  type: 'object',
  description: 'The Cloud Run service that serves.',
  additionalProperties: false,
  required: ['name'],
  properties: {
    name: name('runtime', 'The service.'),
    container,
    repositories: {
      type: 'array',
      default: [],
      description: 'The only repositories that the service may run images of. Empty: not judged.',
      items: {
        type: 'string',
        title: 'an image repository, host and path without tag and digest',
        format: 'repository',
        examples: ['us-central1-docker.pkg.dev/acme/app/runtime'],
      },
    },
    expectedImage: {
      type: 'string',
      title: 'an image',
      format: 'image',
      examples: ['us-central1-docker.pkg.dev/acme/app/runtime:v7'],
      default: '',
      description: 'The image that the service must run. Empty: not judged.',
    },
  },
} as const satisfies JSONSchema

const jobSchema = {
  type: 'object',
  description: 'The Cloud Run job that migrates, locked to the image of the service. Left out: no job is judged.',
  additionalProperties: false,
  required: ['name'],
  properties: {
    name: name('runtime-migrate', 'The job.'),
    container,
    command: {
      type: 'array',
      description:
        "The command that the job must run, as an exact list; `[]` is the image's own entrypoint. Left out: not judged.",
      items: { type: 'string', title: 'a word of the command' },
    },
    args: {
      type: 'array',
      description: 'The arguments of the command, as an exact list. Left out: none where there is a `command`.',
      items: { type: 'string', title: 'an argument' },
    },
    maxDuration: duration('30m', 'positive-duration', 'How long an execution may take before it counts as stuck.'),
  },
} as const satisfies JSONSchema

/** One stack, once `defaults` are merged into it: the source of its type, defaults and docs. */
export const stackSchema = {
  type: 'object',
  description: 'What is watched together: one service, its migration job, its database.',
  additionalProperties: false,
  required: ['name', 'project', 'region', 'service'],
  properties: {
    name: name('runtime', 'What Driftwatch calls the stack: unique, and never `gate`.'),
    project: project('The project that holds the stack.'),
    region: name('us-central1', 'The region of the service and the job.'),
    labels: {
      type: 'object',
      default: {},
      description: 'Labels of your own, by which `alerts.routes` choose stacks.',
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

/** A valid stack of the file, `defaults` merged in and every other default filled in. */
export type StackFile = FromSchema<typeof stackSchema>
