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
import { type DriftwatchCommands, driftwatchCommands } from '../../remedies/driftwatch-commands.ts'
import { buildReport, type Report } from '../../report/report.ts'
import { createWatch } from '../../watch.ts'
import { interrupted } from '../interrupted.ts'
import {
  type ChangeStatus,
  type ChangeStatuses,
  hasChanges,
  joinChangeStatuses,
  recoveryCommands,
} from './change-status.ts'
import type { PlannedStep } from './planned-step.ts'
import { createSnapshotTaker, type StackSnapshot, type TakeStackSnapshot } from './stack-snapshot.ts'

export interface OperationOptions {
  readonly config: Config
  readonly environment: Environment
  readonly stack: Stack
  readonly clock: Clock
  /** Aborts when the command is interrupted. */
  readonly signal: AbortSignal
  /** Without a receipt, the snapshots and the report that only a receipt contains are not taken. */
  readonly writesReceipt: boolean
  /** Checks that the final check skips. */
  readonly skipChecks: readonly CheckKind[]
  readonly dryRun: boolean
  /** Prints one line of progress. */
  print(line: string): void
  /** Prints the steps and asks for confirmation; rejects with NOT_CONFIRMED. A dry run only prints them. */
  confirm(steps: readonly PlannedStep[]): Promise<void>
}

/** A step that was started, or that was skipped. */
export interface CompletedStep {
  readonly name: string
  readonly status: 'done' | 'failed' | 'skipped'
  readonly startedAt: EpochMs
  readonly durationMs: number
  /** The result, or the reason. */
  readonly detail: string
}

/** What a command has observed and done so far; the content of a receipt. */
export interface OperationLog {
  readonly steps: CompletedStep[]
  before: StackSnapshot | null
  after: StackSnapshot | null
  reportBefore: Report | null
  reportAfter: Report | null
  /** The migration that was executed or followed. */
  execution: Execution | null
  readonly changes: ChangeStatuses
}

/** A command that writes, while it runs. */
export interface Operation extends OperationOptions {
  /** The command lines in messages. */
  readonly commands: DriftwatchCommands
  readonly client: CloudRunClient
  readonly writer: CloudRunWriter
  readonly log: OperationLog
  readonly takeSnapshot: TakeStackSnapshot
  /** Runs a step, then logs and prints its result. */
  step(name: string, act: () => Promise<string>): Promise<void>
  skip(name: string, reason: string): void
  /**
   * Writes to the service or the job. The change status is `possible` from the start of the request on, and is restored
   * only if the write certainly had no effect.
   */
  write<T>(part: keyof ChangeStatuses, possible: ChangeStatus, act: () => Promise<T>): Promise<T>
  /** All changes so far. */
  changeStatus(): ChangeStatus
  /** Runs the checks of the stack once, from new observations. */
  runChecks(): Promise<Report>
}

/** How a command ended. */
export interface Ended {
  readonly exitCode: number
  /** Its message contains the changes so far and the commands to recover. */
  readonly error: DriftwatchError | null
  readonly changeStatus: ChangeStatus
  readonly log: OperationLog
  readonly startedAt: EpochMs
  readonly endedAt: EpochMs
}

/** A running command. */
export interface Started {
  /** Never rejects. */
  readonly ended: Promise<Ended>
  /** The outcome if the command were interrupted now. */
  endNow(): Ended
}

/** Runs a command that writes. A failed step exits with 2, like drift; every other error with 1, like unknown. */
export function operate(options: OperationOptions, command: (operation: Operation) => Promise<number>): Started {
  const { clock } = options
  const startedAt = clock.now()
  const operation = open(options)
  const end = (exitCode: number, error: DriftwatchError | null): Ended => ({
    exitCode,
    error,
    changeStatus: operation.changeStatus(),
    log: operation.log,
    startedAt,
    endedAt: clock.now(),
  })
  const run = async () => {
    try {
      return end(await command(operation), null)
    } catch (thrown) {
      const error = withChangeStatus(asDriftwatchError(thrown), operation)
      if (error.code !== 'INTERRUPTED') await recordFinalState(operation)
      return end(error.code === 'STEP_FAILED' ? 2 : 1, error)
    } finally {
      await Promise.all([operation.client.close(), operation.writer.close()])
    }
  }
  return { ended: run(), endNow: () => end(1, withChangeStatus(interrupted(), operation)) }
}

/** Adds the changes so far to the message. A refusal after a change is a failed step. */
function withChangeStatus(error: DriftwatchError, { log, changeStatus }: Operation): DriftwatchError {
  if (error.code === 'NOT_CONFIRMED') return error
  const code = error.code === 'REFUSED' && hasChanges(log.changes) ? 'STEP_FAILED' : error.code
  const status = changeStatus()
  const message =
    code === 'INTERRUPTED' ? `interrupted: ${status.summary}` : `${error.message}\n  current state: ${status.summary}`
  return new DriftwatchError(code, [message, ...recoveryCommands(status)].join('\n'), { cause: error.cause ?? error })
}

/** After a failed step, the receipt contains the state of the stack, if it can be read. */
async function recordFinalState({ log, takeSnapshot, stack, writesReceipt }: Operation): Promise<void> {
  if (!writesReceipt || log.steps.length === 0 || log.after !== null) return
  log.after = await takeSnapshot(stack).catch(() => null)
}

function open(options: OperationOptions): Operation {
  const { clock, config, environment } = options
  const emulatorHost = environment.cloudRunEmulatorHost
  const client = createCloudRunClient({ clock, emulatorHost })
  const log: OperationLog = {
    steps: [],
    before: null,
    after: null,
    reportBefore: null,
    reportAfter: null,
    execution: null,
    changes: { service: null, job: null },
  }
  return {
    ...options,
    commands: driftwatchCommands(environment.configOption),
    client,
    writer: createCloudRunWriter({ clock, emulatorHost }),
    log,
    takeSnapshot: createSnapshotTaker(client, clock, config.timeoutMs),
    step: (name, act) => runStep(options, log, name, act),
    skip(name, reason) {
      options.print(`${name}: skipped: ${reason}`)
      log.steps.push({ name, status: 'skipped', startedAt: clock.now(), durationMs: 0, detail: reason })
    },
    async write(part, possible, act) {
      const before = log.changes[part]
      log.changes[part] = possible
      try {
        return await act()
      } catch (thrown) {
        const { code } = asDriftwatchError(thrown)
        if (code !== 'UNCERTAIN' && code !== 'BUG') log.changes[part] = before
        throw thrown
      }
    },
    changeStatus: () => joinChangeStatuses(log.changes, options.stack.job !== null),
    runChecks: () => runChecks(options),
  }
}

async function runStep(
  { clock, signal, print }: OperationOptions,
  log: OperationLog,
  name: string,
  act: () => Promise<string>,
): Promise<void> {
  if (signal.aborted) throw interrupted()
  const [startedAt, begin] = [clock.now(), clock.monotonic()]
  const logStep = (status: CompletedStep['status'], detail: string) =>
    log.steps.push({ name, status, startedAt, durationMs: Math.round(clock.monotonic() - begin), detail })
  try {
    const detail = await act()
    logStep('done', detail)
    print(`${name}: ${detail}`)
  } catch (thrown) {
    logStep('failed', asDriftwatchError(thrown).message)
    throw thrown
  }
}

async function runChecks({ config, environment, clock, stack, skipChecks }: OperationOptions): Promise<Report> {
  const only = checksOf(stack).flatMap(({ kind }) => (skipChecks.includes(kind) ? [] : [kind]))
  const watch = createWatch({ config, environment, clock, log: silentLog, only })
  try {
    await watch.runCycle()
    return buildReport(watch.store.snapshot(clock.now()))
  } finally {
    await watch.close()
  }
}
