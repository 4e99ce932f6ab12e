import { type Difference, type Finding, maxDifferences } from '../checks/finding.ts'
import { isPrintable, prose, shown } from '../printable.ts'

/** Longer commands are omitted. */
const longestFix = 8000

/** A finding that is safe to show anywhere: printable, of bounded length. Checks quote values of others unchanged. */
export function sanitize(finding: Finding): Finding {
  const { differences, unknownReason } = finding
  const count = differences.length
  const fix = finding.fix !== null && isPasteable(finding.fix) ? finding.fix : null
  const notes = [
    ...finding.notes.map(note => prose(note)),
    ...(count > maxDifferences ? [`Only the first ${maxDifferences} of ${count} differences are listed.`] : []),
    ...(fix === finding.fix ? [] : ['The fix is omitted: its command is too long or contains unprintable characters.']),
  ]
  return {
    ...finding,
    summary: prose(finding.summary),
    differences: differences.slice(0, maxDifferences).map(sanitizeDifference),
    notes,
    fix,
    unknownReason: unknownReason && { ...unknownReason, message: prose(unknownReason.message) },
    proven: finding.proven.map(path => shown(path)),
  }
}

function isPasteable(fix: string): boolean {
  return fix.length <= longestFix && fix.split('\n').every(isPrintable)
}

function sanitizeDifference({ path, kind, expected, actual, via, objects }: Difference): Difference {
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
