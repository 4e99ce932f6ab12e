import { LRUCache } from 'lru-cache'
import type { CheckKind } from '../checks/check.ts'
import type { Status } from '../checks/status.ts'
import type { State } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import { version } from '../version.ts'
import { type CheckFragment, createFragments, type Fragments, members, shortHash, writeStackHead } from './fragments.ts'
import { renderHtml } from './html.ts'
import {
  buildCheckReport,
  buildReport,
  buildReportHead,
  buildStackReport,
  type ChannelState,
  type CheckReport,
  type Report,
  type StackReport,
} from './report.ts'
import { type ReportFilter, type SelectedStack, type Selection, selectStates } from './selection.ts'
import { renderText } from './text.ts'

export const reportFormats = ['json', 'text'] as const
export type ReportFormat = (typeof reportFormats)[number]

/** A report, or a part of one, as bytes. */
export interface Page {
  readonly status: Status
  readonly format: ReportFormat
  readonly body: Buffer
  /** Weak: equal for equal statuses, findings and errors, whenever they were looked at and however they are encoded. */
  readonly etag: string
  /** After which stack the next page begins, where the filter's `limit` left some out. */
  readonly last: string | null
}

/** A snapshot as bytes, each form of it made when it is asked for first, and then answered many times. */
export interface Rendered {
  report(format: ReportFormat, filter?: ReportFilter): Page
  /** Null where there is no such stack. */
  stack(name: string, format: ReportFormat): Page | null
  /** Null where there is no such stack, or it has no such check. */
  check(stack: string, check: string, format: ReportFormat): Page | null
  /** The whole report as a page for a browser. */
  html(): Buffer
  /** The names of the stacks, and of the checks of one of them, for whoever asks for another. */
  readonly names: ReadonlyMap<string, readonly CheckKind[]>
}

/** Renders one snapshot after another. What is found to be as it was keeps its bytes. */
export type Renderer = (snapshot: Snapshot, channels?: readonly ChannelState[]) => Rendered

/** What is kept beside the whole report: enough for each part in both formats, and for the filters that are asked for. */
const keptBytes = 32 * 1024 * 1024

/** How often an open page asks anew. */
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
  const parts = new LRUCache<string, Page>({ maxSize: keptBytes, sizeCalculation: ({ body }) => body.length + 1 })
  const find = (name: string) => snapshot.stacks.find(stack => stack.name === name)
  let html: Buffer | null = null

  function renderReport(format: ReportFormat, filter: ReportFilter): Page {
    const selection = selectStates(snapshot, filter)
    const head = buildReportHead(snapshot, channels)
    const body =
      format === 'json' ? joinReport(head, selection, fragments) : writeText(buildReport(snapshot, filter, channels))
    const told = channels.map(({ channel, error }) => [channel, error?.code, error?.message])
    const places = snapshot.discovery?.map(({ observedAt, staleAt, error, ...rest }) => [
      rest,
      error?.code,
      error?.message,
    ])
    const config = snapshot.config && [snapshot.config.error?.message, snapshot.config.needRestart]
    const content = [told, places, config, selection.stacks.map(selected => digestOf(selected, fragments))]
    return createPage({ status: head.status, format, body, content, last: selection.last })
  }

  function renderPart(report: StackReport | CheckReport | null, format: ReportFormat, content: unknown): Page | null {
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
        return keep(parts, ['report', format, ...normalized(filter)], () => renderReport(format, filter))
      }
      const whole = wholes.get(format) ?? renderReport(format, filter)
      wholes.set(format, whole)
      return whole
    },
    stack: (name, format) => keep(parts, ['stack', format, name], () => renderStack(name, format)),
    check: (name, check, format) => keep(parts, ['check', format, name, check], () => renderCheck(name, check, format)),
    html() {
      html ??= Buffer.from(renderHtml(buildReport(snapshot, undefined, channels), { version, refreshSeconds }))
      return html
    },
    names: new Map(snapshot.stacks.map(({ name, states }) => [name, states.map(({ check }) => check)])),
  }
}

/** The page that is kept under this key, rendered first where there is none. */
function keep<P extends Page | null>(
  pages: LRUCache<string, Page>,
  key: readonly unknown[],
  render: () => P,
): Page | P {
  const name = JSON.stringify(key)
  const kept = pages.get(name)
  if (kept) return kept
  const page = render()
  if (page) pages.set(name, page)
  return page
}

/** A report as JSON, copied together from what is kept of its stacks: the same bytes as those of `buildReport`. */
function joinReport(head: object, { stacks }: Selection, fragments: Fragments): Buffer {
  const written = stacks.map(selected => bytesOf(selected, fragments))
  return Buffer.concat([Buffer.from(`{${members(head)},"stacks":[`), ...separated(written), Buffer.from(']}\n')])
}

function bytesOf({ stack, states }: SelectedStack, fragments: Fragments): Buffer {
  const { stencil: template, checks } = fragments.of(stack)
  if (states === stack.states) return template.bytes
  const shown = shownChecks({ stack, states }, checks).map(({ start, end }) => template.bytes.subarray(start, end))
  return Buffer.concat([Buffer.from(writeStackHead(stack)), ...separated(shown), Buffer.from(']}')])
}

function separated(items: readonly Buffer[]): Buffer[] {
  const comma = Buffer.from(',')
  return items.flatMap((item, at) => (at === 0 ? [item] : [comma, item]))
}

function writeText(report: Report | StackReport | CheckReport): Buffer {
  return Buffer.from(renderText(report, { color: false }))
}

/** What the ETag of a stack rests on. */
function digestOf(selected: SelectedStack, fragments: Fragments): string {
  const { digest, checks } = fragments.of(selected.stack)
  if (selected.states.length === checks.length) return digest
  return [writeStackHead(selected.stack), ...shownChecks(selected, checks).map(check => check.digest)].join('\n')
}

function shownChecks({ stack, states }: SelectedStack, checks: readonly CheckFragment[]): readonly CheckFragment[] {
  const shown = new Set(states)
  return checks.filter((_, at) => shown.has(stack.states[at] as State))
}

interface PageParts extends Omit<Page, 'etag'> {
  /** Everything that the ETag tells apart, beside the format. */
  readonly content: unknown
}

function createPage({ content, ...page }: PageParts): Page {
  const etag = `W/"${shortHash(JSON.stringify([page.status, page.last, content]))}-${page.format}"`
  return { ...page, etag }
}

function isFilter({ statuses, checks, after, limit }: ReportFilter): boolean {
  return (statuses ?? checks ?? after ?? limit) !== undefined
}

/** One and the same for filters that mean the same. */
function normalized({ statuses, checks, after, limit }: ReportFilter): readonly unknown[] {
  return [sorted(statuses), sorted(checks), after ?? null, limit ?? null]
}

function sorted<T extends string>(values: readonly T[] | undefined): readonly T[] | null {
  return values ? [...new Set(values)].sort() : null
}
