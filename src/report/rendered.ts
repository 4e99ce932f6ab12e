import { LRUCache } from 'lru-cache'
import type { CheckKind } from '../checks/check.ts'
import type { Status } from '../checks/status.ts'
import type { State } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import { version } from '../version.ts'
import { type CheckFragment, createFragments, type Fragments, members, shortHash, writeStackHead } from './fragments.ts'
import { renderHtml } from './html.ts'
import {
  type AnyReport,
  buildCheckReport,
  buildReport,
  buildReportHead,
  buildStackReport,
  type ChannelState,
} from './report.ts'
import { type ReportFilter, type SelectedStack, type Selection, selectStates } from './selection.ts'
import { renderText } from './text.ts'
import { watchError } from './watch-error.ts'

export const reportFormats = ['json', 'text'] as const
export type ReportFormat = (typeof reportFormats)[number]

/** A report, or a part of one, as bytes. */
export interface Page {
  readonly status: Status
  readonly format: ReportFormat
  readonly body: Buffer
  /** Weak: independent of observation times and encoding. */
  readonly etag: string
  /** The last stack of this page if the filter's `limit` cut the list, else null. */
  readonly last: string | null
}

/** A snapshot as bytes. Each form is rendered when it is first requested. */
export interface Rendered {
  report(format: ReportFormat, filter?: ReportFilter): Page
  /** Null if there is no such stack. */
  stack(name: string, format: ReportFormat): Page | null
  /** Null if there is no such stack or check. */
  check(stack: string, check: string, format: ReportFormat): Page | null
  /** The whole report as a page for a browser. */
  html(): Buffer
  /** The names of all stacks and their checks. */
  readonly names: ReadonlyMap<string, readonly CheckKind[]>
}

/** Renders one snapshot after another. Stacks with the same content reuse their bytes. */
export type Renderer = (snapshot: Snapshot, channels?: readonly ChannelState[]) => Rendered

/** The size of the cache for parts and filtered reports. Also limits its entries: each counts as a share of it at least. */
const maxCachedBytes = 16 * 1024 * 1024
const maxCachedPages = 1000

/** How often an open page reloads. */
const refreshSeconds = 30

export function createRenderer(): Renderer {
  const fragments = createFragments()
  return (snapshot, channels = []) => {
    fragments.keepOnly(snapshot)
    return renderSnapshot(snapshot, channels, fragments)
  }
}

function renderSnapshot(snapshot: Snapshot, channels: readonly ChannelState[], fragments: Fragments): Rendered {
  const wholes = new Map<ReportFormat, Page>()
  const parts = new LRUCache<string, Page>({ maxSize: maxCachedBytes, sizeCalculation: cachedSize })
  const find = (name: string) => snapshot.stacks.find(stack => stack.name === name)
  let html: Buffer | null = null

  function renderReport(format: ReportFormat, filter: ReportFilter): Page {
    const selection = selectStates(snapshot, filter)
    const head = buildReportHead(snapshot, channels)
    const body =
      format === 'json' ? joinReport(head, selection, fragments) : writeText(buildReport(snapshot, filter, channels))
    const channelErrors = channels.map(({ channel, error }) => [channel, error?.code, error?.message])
    const places = snapshot.discovery?.map(({ observedAt, staleAt, error, ...rest }) => [
      rest,
      error?.code,
      error?.message,
    ])
    const config = snapshot.config && [snapshot.config.error?.message, snapshot.config.needRestart]
    const error = watchError(snapshot)
    const content = [
      channelErrors,
      places,
      [error?.code, error?.message, snapshot.notes],
      config,
      selection.stacks.map(selected => digestOf(selected, fragments)),
    ]
    return createPage({ status: head.status, format, body, content, last: selection.last })
  }

  function renderPart(report: AnyReport | null, format: ReportFormat, content: unknown): Page | null {
    if (report === null) return null
    const body = format === 'json' ? Buffer.from(`${JSON.stringify(report)}\n`) : writeText(report)
    return createPage({ status: report.status, format, body, content, last: null })
  }

  function renderStack(name: string, format: ReportFormat): Page | null {
    const stack = find(name)
    const content = stack && fragments.of(stack).digest
    return renderPart(buildStackReport(snapshot, name), format, ['stack', content])
  }

  function renderCheck(name: string, check: string, format: ReportFormat): Page | null {
    const stack = find(name)
    const place = stack?.states.findIndex(state => state.check === check) ?? -1
    const digest = stack && fragments.of(stack).checks[place]?.digest
    return renderPart(buildCheckReport(snapshot, name, check), format, ['check', name, digest])
  }

  return {
    report(format, filter = {}) {
      if (isFilter(filter)) {
        return cached(parts, ['report', format, ...normalized(filter)], () => renderReport(format, filter))
      }
      const whole = wholes.get(format) ?? renderReport(format, filter)
      wholes.set(format, whole)
      return whole
    },
    stack: (name, format) => cached(parts, ['stack', format, name], () => renderStack(name, format)),
    check: (name, check, format) =>
      cached(parts, ['check', format, name, check], () => renderCheck(name, check, format)),
    html() {
      html ??= Buffer.from(renderHtml(buildReport(snapshot, undefined, channels), version, refreshSeconds))
      return html
    },
    names: new Map(snapshot.stacks.map(({ name, states }) => [name, states.map(({ check }) => check)])),
  }
}

function cachedSize({ body }: Page, key: string): number {
  return Math.max(body.length + key.length, Math.ceil(maxCachedBytes / maxCachedPages))
}

/** The cached page for this key; renders it first if there is none. */
function cached<P extends Page | null>(
  pages: LRUCache<string, Page>,
  key: readonly unknown[],
  render: () => P,
): Page | P {
  const name = JSON.stringify(key)
  const before = pages.get(name)
  if (before) return before
  const page = render()
  if (page) pages.set(name, page)
  return page
}

/** A report as JSON, joined from the fragments of its stacks: the same bytes as those of `buildReport`. */
function joinReport(head: object, { stacks }: Selection, fragments: Fragments): Buffer {
  const written = stacks.map(selected => bytesOf(selected, fragments))
  return Buffer.concat([Buffer.from(`{${members(head)},"stacks":[`), ...separated(written), Buffer.from(']}\n')])
}

function bytesOf({ stack, states }: SelectedStack, fragments: Fragments): Buffer {
  const { template, checks } = fragments.of(stack)
  if (states === stack.states) return template.bytes
  const selected = selectedChecks({ stack, states }, checks).map(({ start, end }) =>
    template.bytes.subarray(start, end),
  )
  return Buffer.concat([Buffer.from(writeStackHead(stack)), ...separated(selected), Buffer.from(']}')])
}

function separated(items: readonly Buffer[]): Buffer[] {
  const comma = Buffer.from(',')
  return items.flatMap((item, at) => (at === 0 ? [item] : [comma, item]))
}

function writeText(report: AnyReport): Buffer {
  return Buffer.from(renderText(report, { color: false }))
}

/** What the ETag of a stack depends on. */
function digestOf(selected: SelectedStack, fragments: Fragments): string {
  const { digest, checks } = fragments.of(selected.stack)
  if (selected.states.length === checks.length) return digest
  return [writeStackHead(selected.stack), ...selectedChecks(selected, checks).map(check => check.digest)].join('\n')
}

function selectedChecks({ stack, states }: SelectedStack, checks: readonly CheckFragment[]): readonly CheckFragment[] {
  const selected = new Set(states)
  return checks.filter((_, at) => selected.has(stack.states[at] as State))
}

/** `content` is everything that the ETag depends on, except the format. */
function createPage({ content, ...page }: Omit<Page, 'etag'> & { readonly content: unknown }): Page {
  const etag = `W/"${shortHash(JSON.stringify([page.status, page.last, content]))}-${page.format}"`
  return { ...page, etag }
}

function isFilter({ statuses, checks, after, limit }: ReportFilter): boolean {
  return (statuses ?? checks ?? after ?? limit) !== undefined
}

/** Equal for equivalent filters. */
function normalized({ statuses, checks, after, limit }: ReportFilter): readonly unknown[] {
  return [sorted(statuses), sorted(checks), after ?? null, limit ?? null]
}

function sorted<T extends string>(values: readonly T[] | undefined): readonly T[] | null {
  return values ? [...new Set(values)].sort() : null
}
