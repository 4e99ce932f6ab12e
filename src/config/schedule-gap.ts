import { parse } from 'node-cron'

type Fields = ReturnType<typeof parse>

const dayMs = 86_400_000

/**
 * The longest time between two runs of a valid cron expression in UTC, in milliseconds. Infinity if it never runs.
 * Covers 400 years, after which the Gregorian calendar repeats.
 */
export function longestGapMs(expression: string): number {
  const { withinDay, days, overNight } = stepsOf(expression)
  return Math.max(most(withinDay), most(days) * dayMs + overNight)
}

/** The usual time between runs: the median of a day, including the night after it. */
export function usualGapMs(expression: string): number {
  const { withinDay, days, overNight } = stepsOf(expression)
  const gaps = [...withinDay, least(days) * dayMs + overNight].sort((a, b) => a - b)
  return gaps[Math.floor((gaps.length - 1) / 2)] ?? Number.POSITIVE_INFINITY
}

/** The steps between runs within a day, in milliseconds, and between days. Add `overNight` to a step between days. */
function stepsOf(expression: string) {
  const fields = parse(expression)
  const [hours, minutes, seconds] = [new Set(fields.hour), new Set(fields.minute), new Set(fields.second)]
  const times = [...hours].flatMap(h =>
    [...minutes].flatMap(m => [...seconds].map(s => (h * 3600 + m * 60 + s) * 1000)),
  )
  times.sort((a, b) => a - b)
  return {
    withinDay: steps(times),
    days: steps(daysOf(fields)),
    overNight: (times[0] ?? 0) - (times.at(-1) ?? 0),
  }
}

/** The days with runs, in order, up to the first one of the next 400 years. */
function daysOf({ dayOfMonth, month, dayOfWeek }: Fields): number[] {
  if (holdsAll(dayOfMonth, 1, 31) && holdsAll(month, 1, 12) && holdsAll(dayOfWeek, 0, 6)) return [0, 1]
  const days: number[] = []
  for (const day of calendar()) {
    if (month.includes(day.month) && fallsOn(dayOfMonth, day) && onWeekday(dayOfWeek, day)) days.push(day.number)
  }
  return days[0] === undefined ? [0, Number.POSITIVE_INFINITY] : [...days, days[0] + daysOfCalendar]
}

function holdsAll(field: readonly (number | string)[], from: number, to: number): boolean {
  return from > to || (field.includes(from) && holdsAll(field, from + 1, to))
}

/** The differences between neighbours of a sorted list. */
function steps(sorted: readonly number[]): number[] {
  return sorted.slice(1).map((value, index) => value - (sorted[index] ?? value))
}

/** Not `Math.min(...list)`: the list may be too long for a call. */
function least(list: readonly number[]): number {
  return list.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY)
}

function most(list: readonly number[]): number {
  return list.reduce((most, value) => Math.max(most, value), 0)
}

interface Day {
  /** Counted from the calendar's first day. */
  readonly number: number
  readonly month: number
  readonly day: number
  /** The last day of its month. */
  readonly last: number
  /** 0 is Sunday. */
  readonly weekday: number
}

/** Days in 400 Gregorian years: whole weeks, so weekdays repeat too. */
const daysOfCalendar = 146_097

/** 400 years from 2000-01-01, a Saturday. */
function* calendar(): Generator<Day> {
  let number = 0
  for (let year = 2000; year < 2400; year++) {
    for (let month = 1; month <= 12; month++) {
      const last = daysInMonth(year, month)
      for (let day = 1; day <= last; day++, number++) yield { number, month, day, last, weekday: (number + 6) % 7 }
    }
  }
}

function daysInMonth(year: number, month: number): number {
  if (month !== 2) return [4, 6, 9, 11].includes(month) ? 30 : 31
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
}

/** node-cron's days of a month: `15`, `L` (the last), `L-3` (three before it), `15W` and `LW` (the weekday nearest). */
function fallsOn(field: readonly (number | string)[], { day, last, weekday }: Day): boolean {
  return field.some(token => {
    if (typeof token === 'number') return token === day
    const [, counted, before = '0', onWorkday] = /^(L|\d+)(?:-(\d+))?(W)?$/.exec(token) ?? []
    const target = counted === 'L' ? last - Number(before) : Number(counted)
    if (!onWorkday) return day === target
    return target <= last && day === nearestWorkday(target, (weekday + target - day + 35) % 7, last)
  })
}

/** The day from Monday to Friday nearest to `target`, in the same month. */
function nearestWorkday(target: number, weekday: number, last: number): number {
  if (weekday === 6) return target === 1 ? target + 2 : target - 1
  if (weekday === 0) return target === last ? target - 2 : target + 1
  return target
}

/** node-cron's days of a week: `1`, `1L` (the last Monday of the month), `1#2` (the second). */
function onWeekday(field: readonly (number | string)[], { day, last, weekday }: Day): boolean {
  return field.some(token => {
    if (typeof token === 'number') return token === weekday
    if (Number(token[0]) !== weekday) return false
    return token[1] === '#' ? Math.ceil(day / 7) === Number(token[2]) : day + 7 > last
  })
}

/** `driftwatch check` must finish within 30 s, including start and output. */
const longestMs = 28_000

/**
 * The time limit of a cycle in milliseconds. If many probes hang, others start late: they still get most of their
 * `timeout`.
 */
export function longestCycleMs(timeoutMs: number): number {
  return Math.max(timeoutMs, Math.min(1.5 * timeoutMs, longestMs))
}
