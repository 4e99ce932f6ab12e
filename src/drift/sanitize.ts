import { type Difference, type Finding, mostDifferences } from '../checks/finding.ts'
import { isPrintable, prose, shown } from '../printable.ts'

/** A longer command is no command to paste. */
const longestFix = 8000

/**
 * A finding as it may be shown anywhere: what checks quote of others (images, commands, names) is as long and as wild as
 * those made it. Values are judged before, whole and as they are.
 */
export function sanitize(finding: Finding): Finding {
  const { differences, doubt } = finding
  const count = differences.length
  const fix = finding.fix !== null && isPasteable(finding.fix) ? finding.fix : null
  const notes = [
    ...finding.notes.map(note => prose(note)),
    ...(count > mostDifferences ? [`only the first ${mostDifferences} of ${count} differences are told`] : []),
    ...(fix === finding.fix ? [] : ['the command that mends it holds what cannot be shown and pasted']),
  ]
  return {
    ...finding,
    summary: prose(finding.summary),
    differences: differences.slice(0, mostDifferences).map(showableDifference),
    notes,
    fix,
    doubt: doubt && { ...doubt, message: prose(doubt.message) },
    proven: finding.proven.map(path => shown(path)),
  }
}

function isPasteable(fix: string): boolean {
  return fix.length <= longestFix && fix.split('\n').every(isPrintable)
}

function showableDifference({ path, kind, expected, actual, via, objects }: Difference): Difference {
  const orNull = (text: string | null) => (text === null ? null : shown(text))
  return {
    path: shown(path),
    kind,
    expected: orNull(expected),
    actual: orNull(actual),
    via: orNull(via),
    ...(objects && { objects: objects.map(name => shown(name)) }),
  }
}
