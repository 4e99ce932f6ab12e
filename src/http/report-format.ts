import type { FastifyRequest } from 'fastify'
import { type Page, type ReportFormat, reportFormats } from '../report/rendered.ts'
import { preferredType } from './accept.ts'

/** The query parameter that decides about the format before any header does. */
export const formatParameter = {
  type: 'string',
  enum: reportFormats,
  description: 'The format of the answer. Without it the `Accept` header decides; JSON is the default.',
} as const

const contentTypes = {
  json: 'application/json; charset=utf-8',
  text: 'text/plain; charset=utf-8',
} as const satisfies Record<ReportFormat, string>

export function formatOf(request: FastifyRequest, format: ReportFormat | undefined): ReportFormat {
  return (
    format ??
    (preferredType(request.headers.accept, ['application/json', 'text/plain']) === 'text/plain' ? 'text' : 'json')
  )
}

export function typeOf({ format }: Page): string {
  return contentTypes[format]
}

/** What a route answers with in both formats, for its schema. */
export function reportAnswer<S>(description: string, schema: S) {
  return {
    description,
    content: { 'application/json': { schema }, 'text/plain': { schema: { type: 'string' } } },
  } as const
}
