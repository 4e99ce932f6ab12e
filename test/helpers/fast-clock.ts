import { type Clock, systemClock } from '../../src/clock.ts'

/** The real time, faster by a factor. */
export function createFastClock(speed: number): Clock {
  const [now, monotonic] = [systemClock.now(), systemClock.monotonic()]
  const passed = () => (systemClock.monotonic() - monotonic) * speed
  return {
    now: () => now + passed(),
    monotonic: () => monotonic + passed(),
    sleep: (ms, signal) => systemClock.sleep(ms / speed, signal),
    after: (ms, callback) => systemClock.after(ms / speed, callback),
  }
}
