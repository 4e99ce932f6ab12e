import type { FromSchema } from 'json-schema-to-ts'
import { formatTime } from '../../clock.ts'
import type { Stack } from '../../config/config.ts'
import { maskWords } from '../../config/mask.ts'
import type { Container, Execution } from '../../release/cloud-run.ts'
import { pickContainer } from '../../release/container.ts'
import { executionVerdict } from '../../release/execution-verdict.ts'
import { formatImage, parseImage } from '../../release/image.ts'
import { followsLatest, sharesOf } from '../../release/serving.ts'
import type { StackSnapshot } from './stack-snapshot.ts'

const closed = { type: 'object', additionalProperties: false } as const
const time = { type: 'string', format: 'date-time' } as const
const nullableTime = { type: ['string', 'null'], format: 'date-time' } as const

const imageSchema = {
  ...closed,
  description: 'An image. `digest` is null if the reference has only a tag.',
  required: ['reference', 'digest'],
  properties: { reference: { type: 'string' }, digest: { type: ['string', 'null'] } },
} as const

const nullableImage = { anyOf: [imageSchema, { type: 'null' }] } as const
const words = { type: 'array', description: 'Secrets are masked.', items: { type: 'string' } } as const

/** The Cloud Run resources of a stack at one moment, in a receipt. */
export const receiptSnapshotSchema = {
  ...closed,
  required: ['seenAt', 'service', 'job', 'execution'],
  properties: {
    seenAt: time,
    service: {
      anyOf: [
        {
          ...closed,
          required: ['name', 'template', 'reconciling', 'followsLatest', 'serving'],
          properties: {
            name: { type: 'string' },
            template: nullableImage,
            reconciling: { type: 'boolean' },
            followsLatest: {
              type: 'boolean',
              description: 'Whether the latest revision receives traffic automatically; false: all traffic is pinned.',
            },
            serving: {
              type: 'array',
              description: 'The revisions that receive traffic, the newest first.',
              items: {
                ...closed,
                required: ['revision', 'percent', 'image'],
                properties: {
                  revision: { type: 'string' },
                  percent: { type: 'integer', description: 'The share of the traffic.' },
                  image: nullableImage,
                },
              },
            },
          },
        },
        { type: 'null' },
      ],
    },
    job: {
      anyOf: [
        {
          ...closed,
          required: ['name', 'image', 'command', 'args'],
          properties: { name: { type: 'string' }, image: nullableImage, command: words, args: words },
        },
        { type: 'null' },
      ],
    },
    execution: {
      description: 'The latest execution of the job.',
      anyOf: [
        {
          ...closed,
          required: ['name', 'result', 'image', 'createdAt', 'completedAt'],
          properties: {
            name: { type: 'string' },
            result: { type: 'string', description: 'succeeded, failed, cancelled, under-way, unrecognized or untold.' },
            image: nullableImage,
            createdAt: nullableTime,
            completedAt: nullableTime,
          },
        },
        { type: 'null' },
      ],
    },
  },
} as const

export type ReceiptSnapshot = FromSchema<typeof receiptSnapshotSchema>

export function toReceiptSnapshot(stack: Stack, snapshot: StackSnapshot): ReceiptSnapshot {
  const { service, release, job, executions, seenAt } = snapshot
  const shares = service ? sharesOf(service) : new Map<string, number>()
  const container = job && findContainer(job.containers, stack.job?.container ?? null)
  return {
    seenAt: formatTime(seenAt),
    service: service && {
      name: service.name,
      template: readImage(service.containers, stack.service.container),
      reconciling: service.reconciling,
      followsLatest: followsLatest(service),
      serving: (release?.serving ?? []).map(({ name, revision }) => ({
        revision: name,
        percent: shares.get(name) ?? 0,
        image: revision && readImage(revision.containers, stack.service.container),
      })),
    },
    job: job && {
      name: job.name,
      image: readImage(job.containers, stack.job?.container ?? null),
      command: maskWords(container?.command ?? []),
      args: maskWords(container?.args ?? []),
    },
    execution: executions[0] ? describeExecutionResult(stack, executions[0]) : null,
  }
}

function describeExecutionResult(stack: Stack, execution: Execution): NonNullable<ReceiptSnapshot['execution']> {
  const { name, createTime, completionTime, containers } = execution
  return {
    name,
    result: executionVerdict(execution, { name, createTime, completionStatus: 'unspecified' }).kind,
    image: readImage(containers, stack.job?.container ?? null),
    createdAt: createTime === null ? null : formatTime(createTime),
    completedAt: completionTime === null ? null : formatTime(completionTime),
  }
}

function findContainer(containers: readonly Container[], wanted: string | null): Container | null {
  const pick = pickContainer(containers, wanted)
  return pick.kind === 'picked' ? pick.container : null
}

function readImage(containers: readonly Container[], wanted: string | null): FromSchema<typeof nullableImage> {
  const text = findContainer(containers, wanted)?.image
  const image = text === undefined ? null : parseImage(text)
  return image && { reference: formatImage(image), digest: image.digest }
}
