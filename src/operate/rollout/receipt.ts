import { accessSync, constants, existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { FromSchema } from 'json-schema-to-ts'
import { type EpochMs, formatTime } from '../../clock.ts'
import { DriftwatchError, type ErrorCode, errorTable } from '../../errors.ts'
import { type Report, reportSchema } from '../../report/report.ts'
import { version } from '../../version.ts'
import type { ChangeStatus } from './change-status.ts'
import type { CompletedStep } from './operation.ts'
import { type ReceiptSnapshot, receiptSnapshotSchema } from './receipt-snapshot.ts'

const closed = { type: 'object', additionalProperties: false } as const
const time = { type: 'string', format: 'date-time' } as const

export const outcomes = ['done', 'failed', 'refused', 'interrupted', 'dry_run'] as const
export type ReceiptOutcome = (typeof outcomes)[number]

const nullableReport = { anyOf: [reportSchema, { type: 'null' }] } as const
const nullableFound = { anyOf: [receiptSnapshotSchema, { type: 'null' }] } as const

const stepSchema = {
  ...closed,
  description: 'One step of the command, in the order in which they were begun.',
  required: ['name', 'status', 'startedAt', 'durationMs', 'detail'],
  properties: {
    name: { type: 'string' },
    status: { type: 'string', enum: ['done', 'failed', 'skipped'] },
    startedAt: time,
    durationMs: { type: 'integer', minimum: 0 },
    detail: { type: 'string', description: 'What came of it.' },
  },
} as const

const command = { type: 'string', description: 'A command line.' } as const

const standingSchema = {
  ...closed,
  description: 'What stands of what was changed, in words, and the ways on and back; null in a check.',
  required: ['said'],
  properties: {
    said: { type: 'string' },
    see: command,
    stop: command,
    next: command,
    back: command,
  },
} as const

/** What `--receipt` writes: proof of what was asked, found and done. It holds no secret. */
export const receiptSchema = {
  ...closed,
  title: 'Receipt',
  description: 'What a command was asked, what it found and did, and how it ended.',
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
      enum: outcomes,
      description: '`done`: every step was; what was found may still be drift.',
    },
    exitCode: { type: 'integer', minimum: 0, maximum: 3 },
    startedAt: time,
    endedAt: time,
    durationMs: { type: 'integer', minimum: 0 },
    asked: {
      ...closed,
      description: 'What was asked for.',
      required: ['stacks', 'checks', 'image', 'noTraffic'],
      properties: {
        stacks: { type: 'array', items: { type: 'string' } },
        checks: {
          anyOf: [{ type: 'array', items: { type: 'string' } }, { type: 'null' }],
          description: 'Only these; null: all that the config asks for.',
        },
        image: { type: ['string', 'null'], description: 'As it was written; null where none was named.' },
        noTraffic: { type: 'boolean' },
      },
    },
    error: {
      description: 'Why it did not end well, or null.',
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
        'What Cloud Run held of each stack: `before` is null in a check, `after` where it was not looked at again.',
      items: {
        ...closed,
        required: ['name', 'before', 'after'],
        properties: { name: { type: 'string' }, before: nullableFound, after: nullableFound },
      },
    },
    report: {
      ...closed,
      description: 'The reports of the checks, as `GET /drift` gives them; null where none was made.',
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
  readonly standing: ChangeStatus | null
  readonly stacks: readonly {
    readonly name: string
    readonly before: ReceiptSnapshot | null
    readonly after: ReceiptSnapshot | null
  }[]
  readonly report: { readonly before: Report | null; readonly after: Report | null }
}

export function buildReceipt(content: ReceiptContent): Receipt {
  const { command, exitCode, startedAt, endedAt, asked, error, steps, standing, stacks, report } = content
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
    error: error && { code: error.code, message: error.message },
    steps: steps.map(step => ({ ...step, startedAt: formatTime(step.startedAt) })),
    standing,
    stacks: stacks.map(stack => ({ ...stack })),
    report: { ...report },
  }
}

function outcomeOf({ error, dryRun }: ReceiptContent): ReceiptOutcome {
  if (error === null) return dryRun ? 'dry_run' : 'done'
  if (error.code === 'INTERRUPTED') return 'interrupted'
  return error.code === 'REFUSED' || error.code === 'NOT_CONFIRMED' ? 'refused' : 'failed'
}

/**
 * Throws USAGE where a receipt could not be written, before anything is done that it would prove: a file is made beside it
 * and removed. Makes the folder.
 */
export function assertWritable(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(unfinished(file), '')
    rmSync(unfinished(file))
    if (existsSync(file)) accessSync(file, constants.W_OK)
  } catch (error) {
    throw unwritable(file, error)
  }
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory()) throw unwritable(file, new Error('it is a directory'))
}

/** Writes it whole or not at all; one that is there is replaced. */
export function writeReceipt(file: string, receipt: Receipt): void {
  try {
    writeFileSync(unfinished(file), `${JSON.stringify(receipt, null, 2)}\n`)
    renameSync(unfinished(file), file)
  } catch (error) {
    throw unwritable(file, error)
  }
}

function unfinished(file: string): string {
  return `${file}.${process.pid}.tmp`
}

function unwritable(file: string, cause: unknown): DriftwatchError {
  const why = cause instanceof Error ? ('code' in cause ? String(cause.code) : cause.message) : String(cause)
  return new DriftwatchError('USAGE', `cannot write the receipt ${file}: ${why}; name another file with --receipt`, {
    cause,
  })
}
