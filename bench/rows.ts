import type { Row } from './row.ts'
import { answers } from './rows/answers.ts'
import { calls } from './rows/calls.ts'
import { check } from './rows/check.ts'
import { cpu } from './rows/cpu.ts'
import { delays } from './rows/delays.ts'
import { grants } from './rows/grants.ts'
import { memory } from './rows/memory.ts'
import { metrics } from './rows/metrics.ts'
import { start } from './rows/start.ts'
import { verify } from './rows/verify.ts'
import { wall } from './rows/wall.ts'

/** Every row of the table, in its order. */
export const rows: readonly Row[] = [calls, cpu, verify, memory, wall, answers, metrics, check, start, grants, delays]
