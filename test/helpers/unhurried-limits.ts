import { defaultLimits, type Limits } from '../../src/http/limits.ts'

/** The usual limits, but for the one that depends on how busy the machine is that runs the tests. */
export const unhurriedLimits: Limits = { ...defaultLimits, loopDelayMs: 60_000 }
