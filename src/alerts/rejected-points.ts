import type { SeriesPoint } from '../clients/monitoring/time-series.ts'
import type { DriftwatchError } from '../errors.ts'

/**
 * The points of a batch that were not written. Cloud Monitoring names them by index, `timeSeries[0-2,5]`, and writes the
 * others. If it names none, none was written; the same if the request is malformed: `Field timeSeries[0].resource ...`.
 */
export function rejectedPoints(error: DriftwatchError, batch: readonly SeriesPoint[]): readonly SeriesPoint[] {
  const text = error.cause instanceof Error ? error.cause.message : error.message
  const ranges = [...text.matchAll(/(?<!\bField )timeSeries\[([0-9,\s-]+)\]/g)].flatMap(([, list = '']) =>
    parseRanges(list),
  )
  const rejected = batch.filter((_, index) => ranges.some(({ from, to }) => index >= from && index <= to))
  return rejected.length > 0 ? rejected : batch
}

function parseRanges(list: string): { from: number; to: number }[] {
  return list.split(',').map(part => {
    const [from = Number.NaN, to = from] = part.split('-').map(Number)
    return { from, to }
  })
}
