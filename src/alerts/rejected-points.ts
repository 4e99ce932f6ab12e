import type { SeriesPoint } from '../clients/monitoring/time-series.ts'
import type { DriftwatchError } from '../errors.ts'

/**
 * The points of a batch that were not written. Cloud Monitoring names them by place, `timeSeries[0-2,5]`, and writes the
 * others; where it names none, none was written. Nor was any where the request itself is malformed, which it says of the
 * first field that is: `Field timeSeries[0].resource ...`.
 */
export function refusedPoints(error: DriftwatchError, batch: readonly SeriesPoint[]): readonly SeriesPoint[] {
  const text = error.cause instanceof Error ? error.cause.message : error.message
  const places = [...text.matchAll(/(?<!\bField )timeSeries\[([0-9,\s-]+)\]/g)].flatMap(([, list = '']) =>
    placesOf(list),
  )
  const refused = batch.filter((_, place) => places.some(({ from, to }) => place >= from && place <= to))
  return refused.length > 0 ? refused : batch
}

function placesOf(list: string): { from: number; to: number }[] {
  return list.split(',').map(part => {
    const [from = Number.NaN, to = from] = part.split('-').map(Number)
    return { from, to }
  })
}
