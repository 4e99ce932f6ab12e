import type { Clock } from '../../clock.ts'
import { formatDuration } from '../../duration.ts'
import { type Execution, isUnrecognized } from '../../release/cloud-run.ts'

/** Without news, a line is printed this often. */
const heartbeatMs = 30_000

/** The number of messages that explain why an execution failed. */
const tailLength = 5

/** Returns a function that prints the news of an execution: messages of its conditions, and counts of its tasks. */
export function createProgress(print: (line: string) => void, clock: Clock, maxDurationMs: number) {
  const begin = clock.monotonic()
  const printed = new Set<string>()
  let printedAt = begin
  const printOnce = (line: string) => {
    if (printed.has(line)) return
    printed.add(line)
    printedAt = clock.monotonic()
    print(line)
  }
  return (execution: Execution): void => {
    for (const line of conditionLines(execution)) printOnce(`  ${line}`)
    const tasks = taskLine(execution)
    if (tasks !== null) printOnce(`  ${tasks}`)
    const now = clock.monotonic()
    if (now - printedAt < heartbeatMs) return
    printedAt = now
    print(`  still running after ${formatDuration(now - begin)} (maximum ${formatDuration(maxDurationMs)})`)
  }
}

/** The last messages of an execution's conditions, the `Completed` condition at the end. */
export function tailOf(execution: Execution): string[] {
  return conditionLines(execution).slice(-tailLength)
}

function conditionLines({ conditions }: Execution): string[] {
  const withMessage = conditions.filter(({ message }) => message !== '')
  const ordered = [
    ...withMessage.filter(({ type }) => type !== 'Completed'),
    ...withMessage.filter(({ type }) => type === 'Completed'),
  ]
  return ordered.map(({ type, state, reason, message }) => {
    const shown = isUnrecognized(state) ? `state ${state.unrecognized} (unknown to this version of Driftwatch)` : state
    return `${type} ${shown}: ${[reason, message].filter(text => text).join(': ')}`
  })
}

/** `1 of 3 tasks succeeded, 2 retried`; null before the first result. */
function taskLine({ taskCount, succeededCount, failedCount, cancelledCount, retriedCount }: Execution): string | null {
  const others = [
    failedCount > 0 && `${failedCount} failed`,
    cancelledCount > 0 && `${cancelledCount} cancelled`,
    retriedCount > 0 && `${retriedCount} retried`,
  ].filter(text => text)
  if (succeededCount === 0 && others.length === 0) return null
  return [`${succeededCount} of ${taskCount} tasks succeeded`, ...others].join(', ')
}
