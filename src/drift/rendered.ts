import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { CheckKind } from '../checks/check.ts'
import type { Status } from '../checks/status.ts'
import { version } from '../version.ts'
import { renderHtml } from './html.ts'
import {
  buildCheckReport,
  buildReport,
  buildStackReport,
  type ChannelState,
  type CheckReport,
  type Report,
  type ReportFilter,
  type StackReport,
} from './report.ts'
import type { Snapshot } from './store.ts'
import { renderText } from './text.ts'

export const reportFormats = ['json', 'text'] as const
export type ReportFormat = (typeof reportFormats)[number]

/** A report, or a part of one, as bytes. */
export interface Page {
  readonly status: Status
  readonly format: ReportFormat
  readonly body: Buffer
  /** Weak: equal for equal statuses, findings and errors, whenever they were looked at. */
  readonly etag: string
}

/** A snapshot as bytes, made once and answered many times. */
export interface Rendered {
  report(format: ReportFormat, filter?: ReportFilter): Page
  /** Null where there is no such stack. */
  stack(name: string, format: ReportFormat): Page | null
  /** Null where there is no such stack, or it has no such check. */
  check(stack: string, check: string, format: ReportFormat): Page | null
  /** The whole report as a page for a browser. */
  html(): string
  /** The names of the stacks, and of the checks of one of them, for whoever asks for another. */
  readonly names: ReadonlyMap<string, readonly CheckKind[]>
}

/** What is kept beside the whole report: enough for each part in both formats, and for the filters that are asked for. */
const keptBytes = 32 * 1024 * 1024

/** How often an open page asks anew. */
const refreshSeconds = 30

/** The whole report as JSON at once; its other forms and parts when they are asked for first, kept with it. */
export function render(snapshot: Snapshot, channels: readonly ChannelState[] = []): Rendered {
  const whole = renderPage(buildReport(snapshot, undefined, channels), 'json')
  let page: string | null = null
  const kept = new LRUCache<string, Page>({ maxSize: keptBytes, sizeCalculation: ({ body }) => body.length })

  function keep<R extends AnyReport | null>(key: readonly unknown[], format: ReportFormat, build: () => R) {
    const name = JSON.stringify([format, ...key])
    const page = kept.get(name) ?? renderNullable(build(), format)
    if (page !== null) kept.set(name, page)
    return page as R extends null ? null : Page
  }

  return {
    report(format, filter) {
      if (format === 'json' && !filter?.statuses && !filter?.checks) return whole
      const key = ['report', sorted(filter?.statuses), sorted(filter?.checks)]
      return keep(key, format, () => buildReport(snapshot, filter, channels))
    },
    stack: (name, format) => keep(['stack', name], format, () => buildStackReport(snapshot, name)),
    check: (stack, check, format) =>
      keep(['check', stack, check], format, () => buildCheckReport(snapshot, stack, check)),
    html() {
      page ??= renderHtml(buildReport(snapshot, undefined, channels), { version, refreshSeconds })
      return page
    },
    names: new Map(snapshot.stacks.map(({ name, states }) => [name, states.map(({ check }) => check)])),
  }
}

type AnyReport = Report | StackReport | CheckReport

function renderPage(report: AnyReport, format: ReportFormat): Page {
  const text = format === 'json' ? `${JSON.stringify(report)}\n` : renderText(report, { color: false })
  return { status: report.status, format, body: Buffer.from(text), etag: `W/"${hash(report)}-${format}"` }
}

function renderNullable(report: AnyReport | null, format: ReportFormat): Page | null {
  return report && renderPage(report, format)
}

/** What changes although nothing happened: when was looked, not what was seen. */
const timesOfTheCycle = new Set(['generatedAt', 'cycle', 'observedAt', 'staleAt', 'at', 'publishedAt'])

function hash(report: AnyReport): string {
  const content = JSON.stringify(report, (key, value) => (timesOfTheCycle.has(key) ? undefined : value))
  return createHash('sha256').update(content).digest('base64url').slice(0, 22)
}

function sorted<T extends string>(values: readonly T[] | undefined): readonly T[] | null {
  return values ? [...new Set(values)].sort() : null
}
