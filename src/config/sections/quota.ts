import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { closed } from './values.ts'

const count = (maximum: number, fallback: number, description: string) =>
  ({
    type: 'integer',
    title: `a whole number from 1 to ${maximum}`,
    minimum: 1,
    maximum,
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
    readsPerMinute: count(1_000_000, 600, 'The quota: read requests per minute in each project and region.'),
    steadyPercent: count(100, 10, 'The share of the quota to use normally.'),
    catchUpPercent: count(
      100,
      50,
      'The share of the quota to use when the normal share is not enough: at startup, and after many changes at once.',
    ),
  },
} as const satisfies JSONSchema

export type QuotaConfig = Readonly<FromSchema<typeof quotaSchema>>
