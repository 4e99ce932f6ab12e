import { durationPattern } from '../../duration.ts'

/** The schema of a map that has only the keys in `properties`. */
export const closed = { type: 'object', additionalProperties: false } as const

/** The schema of a list that is empty by default. */
export const list = <const Items>(description: string, items: Items) =>
  ({ type: 'array', default: [], description, items }) as const

/** The schema of a duration; the format sets its limits. */
export const duration = (text: string, format: keyof typeof durationTitles, description: string) =>
  ({
    type: 'string',
    title: durationTitles[format],
    pattern: durationPattern,
    format,
    examples: [text],
    default: text,
    description,
  }) as const

/** The schema of a duration whose default depends on other values. */
export const optionalDuration = (text: string, format: keyof typeof durationTitles, description: string) => {
  const { default: _, ...schema } = duration(text, format, description)
  return schema
}

const durationTitles = {
  duration: 'a duration',
  'positive-duration': 'a duration longer than 0s',
  timeout: 'a duration longer than 0s, at most 25s',
  minutes: 'a duration of whole minutes from 1m to 23h30m',
  'auto-close': 'a duration from 1d to 7d',
  'telemetry-window': 'a duration from 1m to 1d',
} as const

/** The name of a Cloud Run resource, a region or a stack. Safe in URLs, labels and commands. */
export const name = (example: string, description: string) =>
  ({
    type: 'string',
    title: 'a short name of lower-case letters, digits and dashes',
    pattern: '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$',
    examples: [example],
    description,
  }) as const

export const repository = (description: string) =>
  ({
    type: 'string',
    title: 'an image repository with host and path, without tag or digest',
    format: 'repository',
    examples: ['us-central1-docker.pkg.dev/acme/app/runtime'],
    description,
  }) as const

/** A Google Cloud project. */
export const project = (description: string) =>
  ({
    type: 'string',
    title: 'a Google Cloud project ID',
    pattern: '^[a-z0-9]([a-z0-9.:-]*[a-z0-9])?$',
    examples: ['acme-production'],
    description,
  }) as const
