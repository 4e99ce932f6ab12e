import fc from 'fast-check'
import { createTask } from 'node-cron'
import t from 'tap'
import { longestGapMs, usualGapMs } from '../../src/config/schedule-gap.ts'

const [s, m, h, d] = [1000, 60_000, 3_600_000, 86_400_000]

t.test('the longest gap of a schedule covers nights, weekends and leap years', async t => {
  const gaps: Record<string, number> = {
    '* * * * * *': s,
    '*/30 * * * * *': 30 * s,
    '*/7 * * * * *': 7 * s,
    '*/40 * * * * *': 40 * s,
    '*/5 * * * *': 5 * m,
    '0,10 * * * *': 50 * m,
    '*/5 9-17 * * *': 15 * h + 5 * m,
    '*/5 9-17 * * 1-5': 2 * d + 15 * h + 5 * m,
    '0 22-2 * * *': 20 * h,
    '@daily': d,
    '0 0 * * 0': 7 * d,
    '0 0 1 * *': 31 * d,
    '0 0 31 * *': 61 * d,
    '0 0 1-30 * *': 2 * d,
    '0 0 2-31 * *': 2 * d,
    '0 0 1 1 *': 366 * d,
    '0 0 29 2 *': 2921 * d,
    '0 0 29 2 1': 14_609 * d,
    '0 0 31W 2 *': Number.POSITIVE_INFINITY,
  }
  for (const [expression, gap] of Object.entries(gaps)) t.equal(longestGapMs(expression), gap, expression)
})

t.test('the usual gap of a schedule is the median of a day', async t => {
  const gaps: Record<string, number> = {
    '*/30 * * * * *': 30 * s,
    '*/40 * * * * *': 20 * s,
    '*/7 * * * *': 7 * m,
    '*/5 9-17 * * 1-5': 5 * m,
    '0,10 * * * *': 10 * m,
    '0 9,13,17 * * *': 4 * h,
    '@daily': d,
    '0 0 * * 0': 7 * d,
    '0 0 31W 2 *': Number.POSITIVE_INFINITY,
  }
  for (const [expression, gap] of Object.entries(gaps)) t.equal(usualGapMs(expression), gap, expression)
})

t.test('the longest gap of a schedule matches the runs of node-cron', async t => {
  const observed = (expression: string, runs: number) => {
    const task = createTask(expression, () => undefined, { timezone: 'Etc/UTC' })
    const times = task.getNextRuns(runs).map(Number)
    void task.destroy()
    return Math.max(...times.slice(1).map((time, index) => time - (times[index] ?? 0)))
  }
  // The calendar of weekdays and leap years repeats every 28 years, except around a century.
  for (const days of [
    'L * *',
    'L-3 * *',
    'LW * *',
    '1W * *',
    '15W * *',
    '30W * *',
    '* * 1L',
    '* * 5#5',
    '* * 0#1,3L',
    '13 * 5',
  ]) {
    const expression = `30 4 ${days}`
    t.equal(longestGapMs(expression), observed(expression, 12 * 28 + 1), expression)
  }
  const list = (least: number, most: number) =>
    fc
      .uniqueArray(fc.integer({ min: least, max: most }), { minLength: 1, maxLength: 4 })
      .map(values => values.join(','))
  const timesOfDay = fc.tuple(list(0, 59), list(0, 59), list(0, 23)).map(fields => `${fields.join(' ')} * * *`)
  const oneDay = (expression: string) => longestGapMs(expression) === observed(expression, 4 * 4 * 4 + 2)
  t.doesNotThrow(() => fc.assert(fc.property(timesOfDay, oneDay), { numRuns: 30 }))
})
