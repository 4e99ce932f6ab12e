import type { SeriesPoint } from '../clients/time-series.ts'
import type { DriftwatchError } from '../errors.ts'

/**
 * The points of a batch that were not written. Cloud Monitoring names them by place, `timeSeries[0-2,5]`, and writes the
 * others; where it names none, none was written.
 */
export function refusedPoints(error: DriftwatchError, batch: readonly SeriesPoint[]): readonly SeriesPoint[] {
  const text = error.cause instanceof Error ? error.cause.message : error.message
  const places = [...text.matchAll(/timeSeries\[([0-9,\s-]+)\]/g)].flatMap(([, list = '']) => placesOf(list))
  const refused = batch.filter((_, place) => places.some(({ from, to }) => place >= from && place <= to))
  return refused.length > 0 ? refused : batch
}

function placesOf(list: string): { from: number; to: number }[] {
  return list.split(',').map(part => {
    const [from = Number.NaN, to = from] = part.split('-').map(Number)
    return { from, to }
  })
}
