import type { Clock } from '../../clock.ts'
import { formatDuration } from '../../duration.ts'
import { type Execution, isUnrecognized } from '../../release/cloud-run.ts'

/** How often a migration that says nothing is said to be under way still. */
const silenceMs = 30_000

/** So many of the last messages tell why an execution failed. */
const tailLength = 5

/** Says what is new about an execution at each look: its conditions, and how many tasks have ended. */
export function createProgress(say: (line: string) => void, clock: Clock, maxDurationMs: number) {
  const begin = clock.monotonic()
  const said = new Set<string>()
  let saidAt = begin
  const once = (line: string) => {
    if (said.has(line)) return
    said.add(line)
    saidAt = clock.monotonic()
    say(line)
  }
  return {
    show(execution: Execution): void {
      for (const line of conditionLines(execution)) once(`  ${line}`)
      const tasks = taskLine(execution)
      if (tasks !== null) once(`  ${tasks}`)
      const now = clock.monotonic()
      if (now - saidAt < silenceMs) return
      saidAt = now
      say(`  under way for ${formatDuration(now - begin)}, ${formatDuration(maxDurationMs)} are allowed`)
    },
  }
}

/** The last of what Cloud Run says of an execution, the verdict at the end. */
export function tailOf(execution: Execution): string[] {
  return conditionLines(execution).slice(-tailLength)
}

function conditionLines({ conditions }: Execution): string[] {
  const told = conditions.filter(({ message }) => message !== '')
  const ordered = [
    ...told.filter(({ type }) => type !== 'Completed'),
    ...told.filter(({ type }) => type === 'Completed'),
  ]
  return ordered.map(({ type, state, reason, message }) => {
    const shown = isUnrecognized(state) ? state.unrecognized : state
    return `${type} ${shown}: ${[reason, message].filter(text => text).join(': ')}`
  })
}

/** `1 of 3 tasks succeeded, 2 retried`; null while there is nothing to tell. */
function taskLine({ taskCount, succeededCount, failedCount, cancelledCount, retriedCount }: Execution): string | null {
  const others = [
    failedCount > 0 && `${failedCount} failed`,
    cancelledCount > 0 && `${cancelledCount} cancelled`,
    retriedCount > 0 && `${retriedCount} retried`,
  ].filter(text => text)
  if (succeededCount === 0 && others.length === 0) return null
  return [`${succeededCount} of ${taskCount} tasks succeeded`, ...others].join(', ')
}
