import { hash } from 'node:crypto'
import { type EpochMs, formatTime } from '../clock.ts'
import type { State } from '../drift/state.ts'
import type { Snapshot, StackStates } from '../drift/store.ts'
import { type ByteTemplate, createByteTemplate } from './byte-template.ts'
import { buildStackHead, reportState } from './report.ts'

/**
 * A stack of the report as JSON. While its content is the same, only the times of the cycle are overwritten in place:
 * callers must copy the bytes.
 */
interface StackFragment {
  /** The stack that the bytes describe. */
  stack: StackStates
  readonly template: ByteTemplate
  /** In the order of the stack's states. */
  readonly checks: readonly CheckFragment[]
  /** Equal for equal content: the times of the cycle are not part of it. */
  readonly digest: string
}

/** The position of a check's object in the bytes of its stack. */
export interface CheckFragment {
  readonly start: number
  readonly end: number
  /** As for the stack. */
  readonly digest: string
}

/** The fragments of the stacks, reused from one snapshot to the next. */
export interface Fragments {
  of(stack: StackStates): StackFragment
  /** Drops the fragments of stacks that are not in this snapshot. */
  keepOnly(snapshot: Snapshot): void
}

export function createFragments(): Fragments {
  const kept = new Map<string, StackFragment>()
  const times = new Map<EpochMs, string>()

  /** Many checks share the times of a cycle. */
  function timeOf(moment: EpochMs): string {
    const known = times.get(moment)
    if (known !== undefined) return known
    const time = formatTime(moment)
    times.set(moment, time)
    return time
  }

  function fill({ fill }: ByteTemplate, states: readonly State[]): void {
    let slot = 0
    for (const { observedAt, staleAt, error } of states) {
      if (observedAt !== null) fill(slot++, timeOf(observedAt))
      if (staleAt !== null) fill(slot++, timeOf(staleAt))
      if (error !== null) fill(slot++, timeOf(error.at))
    }
  }

  return {
    of(stack) {
      const before = kept.get(stack.name)
      if (before?.stack === stack) return before
      const fragment = before?.stack.content === stack.content ? before : cutStack(stack)
      fragment.stack = stack
      fill(fragment.template, stack.states)
      kept.set(stack.name, fragment)
      return fragment
    },
    keepOnly({ stacks }) {
      times.clear()
      const names = new Set(stacks.map(({ name }) => name))
      for (const name of kept.keys()) if (!names.has(name)) kept.delete(name)
    },
  }
}

/** The object of a stack up to its checks. */
export function writeStackHead(stack: StackStates): string {
  return `{${members(buildStackHead(stack))},"checks":[`
}

/** The members of an object as JSON, without its braces. */
export function members(value: object): string {
  return JSON.stringify(value).slice(1, -1)
}

export function shortHash(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 22)
}

/** JSON always escapes this character. */
const slot = '\0'

/** The width of `2026-11-03T12:00:00.000Z`, the same until the year 9999. */
const timeWidth = 24

function cutStack(stack: StackStates): StackFragment {
  const head = writeStackHead(stack)
  const checks = stack.states.map(writeCheck)
  const text = `${head}${checks.join(',')}]}`
  let end = Buffer.byteLength(head) - 1
  const places = checks.map(check => {
    const start = end + 1
    end = start + Buffer.byteLength(check) + (check.split(slot).length - 1) * (timeWidth - slot.length)
    return { start, end, digest: shortHash(check) }
  })
  return { stack, template: createByteTemplate(text.split(slot), timeWidth), checks: places, digest: shortHash(text) }
}

/** With slots for the times of the cycle, in the order in which `fill` fills them. */
function writeCheck(state: State): string {
  const { observedAt, staleAt, summary, differences, notes, fix, advice, error, ...head } = reportState(state)
  const [observed, stale] = [observedAt, staleAt].map(time => (time === null ? 'null' : `"${slot}"`))
  const finding = members({ summary, differences, notes, fix, advice })
  const failure = error && `{${members({ code: error.code, message: error.message })},"at":"${slot}"}`
  return `{${members(head)},"observedAt":${observed},"staleAt":${stale},${finding},"error":${failure}}`
}
