import type { FastifyRequest } from 'fastify'
import { type Page, type ReportFormat, reportFormats } from '../report/rendered.ts'
import { selectMediaType } from './accept.ts'

/** The query parameter for the format. It takes precedence over the `Accept` header. */
export const formatParameter = {
  type: 'string',
  enum: reportFormats,
  description: 'The format of the response. If absent, the `Accept` header decides. The default is JSON.',
} as const

const contentTypes = {
  json: 'application/json; charset=utf-8',
  text: 'text/plain; charset=utf-8',
} as const satisfies Record<ReportFormat, string>

export function selectFormat(request: FastifyRequest, format: ReportFormat | undefined): ReportFormat {
  return (
    format ??
    (selectMediaType(request.headers.accept, ['application/json', 'text/plain']) === 'text/plain' ? 'text' : 'json')
  )
}

export function getContentType({ format }: Page): string {
  return contentTypes[format]
}

/** Describes the response of a route in both formats, for its schema. */
export function describeReport<S>(description: string, schema: S) {
  return {
    description,
    content: { 'application/json': { schema }, 'text/plain': { schema: { type: 'string' } } },
  } as const
}
