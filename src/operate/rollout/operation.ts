import type { CheckKind } from '../../checks/check.ts'
import { checksOf } from '../../checks/checks.ts'
import { type CloudRunClient, createCloudRunClient } from '../../clients/cloud-run/cloud-run.ts'
import { type CloudRunWriter, createCloudRunWriter } from '../../clients/cloud-run/cloud-run-writer.ts'
import type { Clock, EpochMs } from '../../clock.ts'
import type { Config, Stack } from '../../config/config.ts'
import type { Environment } from '../../config/environment.ts'
import { asDriftwatchError, DriftwatchError } from '../../errors.ts'
import { silentLog } from '../../log.ts'
import type { Execution } from '../../release/cloud-run.ts'
import { buildReport, type Report } from '../../report/report.ts'
import { createWatch } from '../../watch.ts'
import {
  type ChangeStatus,
  type ChangeStatuses,
  hasChanges,
  joinChangeStatuses,
  nextCommands,
} from './change-status.ts'
import type { PlannedStep } from './planned-step.ts'
import { createStackSnapshots, type StackSnapshot, type TakeStackSnapshot } from './stack-snapshot.ts'

export interface OperationOptions {
  readonly config: Config
  readonly environment: Environment
  readonly stack: Stack
  readonly clock: Clock
  /** Aborts when the process is asked to end. */
  readonly signal: AbortSignal
  /** Whether a receipt tells what was there before and after: nobody waits for what nobody is told. */
  readonly keepsReceipt: boolean
  /** Checks that are left out at the end. */
  readonly leaveOut: readonly CheckKind[]
  readonly dryRun: boolean
  /** One line of progress. */
  say(line: string): void
  /** Shows what would be done; resolves when somebody agrees, and rejects with NOT_CONFIRMED. Of a dry run nobody is asked. */
  agree(steps: readonly PlannedStep[]): Promise<void>
}

export type StepStatus = 'done' | 'failed' | 'skipped'

/** One step that was begun, or that was left out. */
export interface CompletedStep {
  readonly name: string
  readonly status: StepStatus
  readonly startedAt: EpochMs
  readonly durationMs: number
  /** What came of it. */
  readonly detail: string
}

/** What a command has found and done so far: everything that a receipt tells. */
export interface OperationLog {
  readonly steps: CompletedStep[]
  before: StackSnapshot | null
  after: StackSnapshot | null
  reportBefore: Report | null
  reportAfter: Report | null
  /** The migration that was executed or followed. */
  execution: Execution | null
  /** What stands, and runs on, if it ended now. */
  readonly standings: ChangeStatuses
}

/** A command that writes, while it does so. */
export interface Operation extends OperationOptions {
  readonly client: CloudRunClient
  readonly writer: CloudRunWriter
  readonly record: OperationLog
  readonly look: TakeStackSnapshot
  /** Does one step and records what came of it. */
  step(name: string, act: () => Promise<string>): Promise<void>
  skip(name: string, why: string): void
  /**
   * Makes a change of the service or the job. `maybe` stands from the moment at which it is asked for, until it is certain
   * that it was not made.
   */
  write<T>(part: keyof ChangeStatuses, maybe: ChangeStatus, act: () => Promise<T>): Promise<T>
  /** What stands now, of everything. */
  changeStatus(): ChangeStatus
  /** Judges the stack once, from looks of now alone. */
  judge(): Promise<Report>
}

/** How a command ended. */
export interface Ended {
  readonly exitCode: number
  /** Its message says what stands, and the ways on and back. */
  readonly error: DriftwatchError | null
  readonly standing: ChangeStatus
  readonly record: OperationLog
  readonly startedAt: EpochMs
  readonly endedAt: EpochMs
}

/** A command that was started. */
export interface Started {
  /** Never rejects. */
  readonly ended: Promise<Ended>
  /** How it would end if it was interrupted at this very moment. */
  cut(): Ended
}

/** Runs a command that writes. A step that failed is proven drift, every other error a lack of knowledge. */
export function operate(options: OperationOptions, command: (operation: Operation) => Promise<number>): Started {
  const { clock } = options
  const startedAt = clock.now()
  const operation = open(options)
  const end = (exitCode: number, error: DriftwatchError | null): Ended => ({
    exitCode,
    error,
    standing: operation.changeStatus(),
    record: operation.record,
    startedAt,
    endedAt: clock.now(),
  })
  const run = async () => {
    try {
      return end(await command(operation), null)
    } catch (thrown) {
      const error = withStanding(asDriftwatchError(thrown), operation)
      if (error.code !== 'INTERRUPTED') await lookAfter(operation)
      return end(error.code === 'STEP_FAILED' ? 2 : 1, error)
    } finally {
      await Promise.all([operation.client.close(), operation.writer.close()])
    }
  }
  return { ended: run(), cut: () => end(1, withStanding(interrupted(), operation)) }
}

/** Nothing half-done is left unsaid. What is refused when something was changed already is a step that failed. */
function withStanding(error: DriftwatchError, { record, changeStatus: standing }: Operation): DriftwatchError {
  if (error.code === 'NOT_CONFIRMED') return error
  const code = error.code === 'REFUSED' && hasChanges(record.standings) ? 'STEP_FAILED' : error.code
  const stands = standing()
  const said =
    code === 'INTERRUPTED' ? `interrupted: ${stands.said}` : `${error.message}\n  what stands: ${stands.said}`
  return new DriftwatchError(code, [said, ...nextCommands(stands)].join('\n'), { cause: error.cause ?? error })
}

/** What stands after a step has failed belongs into the receipt, if it can be looked at. */
async function lookAfter({ record, look, stack, keepsReceipt }: Operation): Promise<void> {
  if (!keepsReceipt || record.steps.length === 0 || record.after !== null) return
  record.after = await look(stack).catch(() => null)
}

function open(options: OperationOptions): Operation {
  const { clock, config, environment } = options
  const emulatorHost = environment.cloudRunEmulatorHost
  const client = createCloudRunClient({ clock, emulatorHost })
  const record: OperationLog = {
    steps: [],
    before: null,
    after: null,
    reportBefore: null,
    reportAfter: null,
    execution: null,
    standings: { service: null, job: null },
  }
  return {
    ...options,
    client,
    writer: createCloudRunWriter({ clock, emulatorHost }),
    record,
    look: createStackSnapshots(client, clock, config.timeoutMs),
    step: (name, act) => runStep(options, record, name, act),
    skip(name, why) {
      options.say(`${name}: left out: ${why}`)
      record.steps.push({ name, status: 'skipped', startedAt: clock.now(), durationMs: 0, detail: why })
    },
    write: (part, maybe, act) => write(record.standings, part, maybe, act),
    changeStatus: () => joinChangeStatuses(record.standings, options.stack.job !== null),
    judge: () => judge(options),
  }
}

async function write<T>(
  standings: ChangeStatuses,
  part: keyof ChangeStatuses,
  maybe: ChangeStatus,
  act: () => Promise<T>,
): Promise<T> {
  const before = standings[part]
  standings[part] = maybe
  try {
    return await act()
  } catch (thrown) {
    const { code } = asDriftwatchError(thrown)
    if (code !== 'UNCERTAIN' && code !== 'BUG') standings[part] = before
    throw thrown
  }
}

async function runStep(
  { clock, signal, say }: OperationOptions,
  record: OperationLog,
  name: string,
  act: () => Promise<string>,
): Promise<void> {
  if (signal.aborted) throw interrupted()
  const [startedAt, begin] = [clock.now(), clock.monotonic()]
  const ended = (status: StepStatus, detail: string) =>
    record.steps.push({ name, status, startedAt, durationMs: Math.round(clock.monotonic() - begin), detail })
  try {
    const detail = await act()
    ended('done', detail)
    say(`${name}: ${detail}`)
  } catch (thrown) {
    ended('failed', asDriftwatchError(thrown).message)
    throw thrown
  }
}

/** The command was asked to end. What stands is said with it, as with every error. */
export function interrupted(): DriftwatchError {
  return new DriftwatchError('INTERRUPTED', 'interrupted')
}

async function judge({ config, environment, clock, stack, leaveOut }: OperationOptions): Promise<Report> {
  const only = checksOf(stack).flatMap(({ kind }) => (leaveOut.includes(kind) ? [] : [kind]))
  const watch = createWatch({ config, environment, clock, log: silentLog, only })
  try {
    await watch.runCycle()
    return buildReport(watch.store.snapshot(clock.now()))
  } finally {
    await watch.close()
  }
}
