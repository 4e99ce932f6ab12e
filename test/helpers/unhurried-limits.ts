import { defaultLimits, type Limits } from '../../src/http/limits.ts'

/** The usual limits, except the one that depends on the load of the test machine. */
export const unhurriedLimits: Limits = { ...defaultLimits, loopDelayMs: 60_000 }
