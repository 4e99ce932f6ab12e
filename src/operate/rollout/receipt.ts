import type { FromSchema } from 'json-schema-to-ts'
import { type EpochMs, formatTime } from '../../clock.ts'
import type { Stack } from '../../config/config.ts'
import { type DriftwatchError, type ErrorCode, errorTable } from '../../errors.ts'
import { maskUrls } from '../../printable.ts'
import { type Report, reportSchema } from '../../report/report.ts'
import { version } from '../../version.ts'
import type { ChangeStatus } from './change-status.ts'
import type { CompletedStep } from './operation.ts'
import { receiptSnapshotSchema, toReceiptSnapshot } from './receipt-snapshot.ts'
import type { StackSnapshot } from './stack-snapshot.ts'

const closed = { type: 'object', additionalProperties: false } as const
const time = { type: 'string', format: 'date-time' } as const

const nullableReport = { anyOf: [reportSchema, { type: 'null' }] } as const
const nullableSnapshot = { anyOf: [receiptSnapshotSchema, { type: 'null' }] } as const

const stepSchema = {
  ...closed,
  description: 'A step of the command. Steps are in order of their start.',
  required: ['name', 'status', 'startedAt', 'durationMs', 'detail'],
  properties: {
    name: { type: 'string' },
    status: { type: 'string', enum: ['done', 'failed', 'skipped'] },
    startedAt: time,
    durationMs: { type: 'integer', minimum: 0 },
    detail: { type: 'string', description: 'The result of the step, or the reason why it failed or was skipped.' },
  },
} as const

const standingSchema = {
  ...closed,
  description: 'The changes that the command has made, and command lines to follow up; null for `check`.',
  required: ['said'],
  properties: {
    said: { type: 'string', description: 'The changes, in words.' },
    see: { type: 'string', description: 'A command that shows the changed resource.' },
    stop: { type: 'string', description: 'A command that cancels what is still running.' },
    next: { type: 'string', description: 'A command that continues.' },
    back: { type: 'string', description: 'A command that rolls the changes back.' },
  },
} as const

/** The file that `--receipt` writes. It contains no secrets. */
export const receiptSchema = {
  ...closed,
  title: 'Receipt',
  description: 'The record of one command: the request, the observations, the steps and the outcome.',
  required: [
    'apiVersion',
    'kind',
    'command',
    'driftwatch',
    'outcome',
    'exitCode',
    'startedAt',
    'endedAt',
    'durationMs',
    'asked',
    'error',
    'steps',
    'standing',
    'stacks',
    'report',
  ],
  properties: {
    apiVersion: { type: 'string', const: 'driftwatch/v1' },
    kind: { type: 'string', const: 'Receipt' },
    command: { type: 'string', enum: ['check', 'migrate', 'deploy'] },
    driftwatch: { type: 'string', description: 'The version of Driftwatch.' },
    outcome: {
      type: 'string',
      enum: ['done', 'failed', 'refused', 'interrupted', 'dry_run'],
      description: '`done`: no step failed. The report may still contain drift.',
    },
    exitCode: { type: 'integer', minimum: 0, maximum: 3 },
    startedAt: time,
    endedAt: time,
    durationMs: { type: 'integer', minimum: 0 },
    asked: {
      ...closed,
      description: 'The request.',
      required: ['stacks', 'checks', 'image', 'noTraffic'],
      properties: {
        stacks: { type: 'array', items: { type: 'string' } },
        checks: {
          anyOf: [{ type: 'array', items: { type: 'string' } }, { type: 'null' }],
          description: 'The selected checks; null: every check that the configuration defines.',
        },
        image: { type: ['string', 'null'], description: 'The requested image, unchanged; null if absent.' },
        noTraffic: { type: 'boolean' },
      },
    },
    error: {
      description: 'The error that ended the command, or null.',
      anyOf: [
        {
          ...closed,
          required: ['code', 'message'],
          properties: {
            code: { type: 'string', enum: Object.keys(errorTable) as ErrorCode[] },
            message: { type: 'string' },
          },
        },
        { type: 'null' },
      ],
    },
    steps: { type: 'array', items: stepSchema },
    standing: { anyOf: [standingSchema, { type: 'null' }] },
    stacks: {
      type: 'array',
      description:
        'The Cloud Run resources of each stack. `before` is null for `check`; `after` is null if they were not read again.',
      items: {
        ...closed,
        required: ['name', 'before', 'after'],
        properties: { name: { type: 'string' }, before: nullableSnapshot, after: nullableSnapshot },
      },
    },
    report: {
      ...closed,
      description: 'The reports of the checks, in the format of `GET /drift`; null if the checks did not run.',
      required: ['before', 'after'],
      properties: { before: nullableReport, after: nullableReport },
    },
  },
} as const

export type Receipt = FromSchema<typeof receiptSchema>

export interface ReceiptContent {
  readonly command: Receipt['command']
  readonly dryRun: boolean
  readonly exitCode: number
  readonly startedAt: EpochMs
  readonly endedAt: EpochMs
  readonly asked: Receipt['asked']
  readonly error: DriftwatchError | null
  readonly steps: readonly CompletedStep[]
  readonly changeStatus: ChangeStatus | null
  readonly stacks: readonly {
    readonly stack: Stack
    readonly before: StackSnapshot | null
    readonly after: StackSnapshot | null
  }[]
  readonly report: { readonly before: Report | null; readonly after: Report | null }
}

export function buildReceipt(content: ReceiptContent): Receipt {
  const { command, exitCode, startedAt, endedAt, asked, error, steps, changeStatus, stacks, report } = content
  return {
    apiVersion: 'driftwatch/v1',
    kind: 'Receipt',
    command,
    driftwatch: version,
    outcome: outcomeOf(content),
    exitCode,
    startedAt: formatTime(startedAt),
    endedAt: formatTime(endedAt),
    durationMs: Math.max(0, Math.round(endedAt - startedAt)),
    asked,
    error: error && { code: error.code, message: maskUrls(error.message) },
    steps: steps.map(step => ({ ...step, startedAt: formatTime(step.startedAt) })),
    standing: changeStatus && toStanding(changeStatus),
    stacks: stacks.map(({ stack, before, after }) => ({
      name: stack.name,
      before: before && toReceiptSnapshot(stack, before),
      after: after && toReceiptSnapshot(stack, after),
    })),
    report: { ...report },
  }
}

function toStanding({ summary, inspect, cancel, resume, revert }: ChangeStatus): NonNullable<Receipt['standing']> {
  return {
    said: summary,
    ...(inspect && { see: inspect }),
    ...(cancel && { stop: cancel }),
    ...(resume && { next: resume }),
    ...(revert && { back: revert }),
  }
}

function outcomeOf({ error, dryRun }: ReceiptContent): Receipt['outcome'] {
  if (error === null) return dryRun ? 'dry_run' : 'done'
  if (error.code === 'INTERRUPTED') return 'interrupted'
  return error.code === 'REFUSED' || error.code === 'NOT_CONFIRMED' ? 'refused' : 'failed'
}
