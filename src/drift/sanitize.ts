import { type Difference, type Finding, maxDifferences } from '../checks/finding.ts'
import { prose, shown } from '../printable.ts'

/** A finding that is safe to show anywhere: printable, of bounded length. Checks quote values of others unchanged. */
export function sanitize(finding: Finding): Finding {
  const { differences, unknownReason } = finding
  const count = differences.length
  const notes = [
    ...finding.notes.map(note => prose(note)),
    ...(count > maxDifferences ? [`Only the first ${maxDifferences} of ${count} differences are listed.`] : []),
  ]
  return {
    ...finding,
    summary: prose(finding.summary),
    differences: differences.slice(0, maxDifferences).map(sanitizeDifference),
    notes,
    unknownReason: unknownReason && { ...unknownReason, message: prose(unknownReason.message) },
    proven: finding.proven.map(path => shown(path)),
  }
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
