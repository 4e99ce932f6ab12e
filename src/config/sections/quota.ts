import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { closed } from './values.ts'

const percent = (fallback: number, description: string) =>
  ({
    type: 'integer',
    title: 'a whole number from 1 to 100',
    minimum: 1,
    maximum: 100,
    default: fallback,
    examples: [String(fallback)],
    description,
  }) as const

/** The `quota` key of the file. */
export const quotaSchema = {
  ...closed,
  default: {},
  description: 'How much of the Cloud Run quota for read requests Driftwatch may use in each project and region.',
  properties: {
    readsPerMinute: {
      type: 'integer',
      title: 'a whole number from 1 to 1000000',
      minimum: 1,
      maximum: 1_000_000,
      default: 600,
      examples: ['600'],
      description: 'The quota: read requests per minute in each project and region.',
    },
    steadyPercent: percent(10, 'The share of the quota to use normally.'),
    catchUpPercent: percent(
      50,
      'The share of the quota to use when the normal share is not enough: at startup, and after many changes at once.',
    ),
  },
} as const satisfies JSONSchema

export type QuotaConfig = Readonly<FromSchema<typeof quotaSchema>>
