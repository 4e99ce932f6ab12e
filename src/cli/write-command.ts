import type { ParseArgsOptionsConfig } from 'node:util'
import { type CheckKind, checkKinds } from '../checks/check.ts'
import type { Config, Stack } from '../config/config.ts'
import { type Environment, readEnvironment } from '../config/environment.ts'
import { loadConfig } from '../config/load.ts'
import { discoverOnce } from '../operate/discovered-config.ts'
import { type Ended, type Operation, operate } from '../operate/rollout/operation.ts'
import { assertWritable, buildReceipt, type Receipt } from '../operate/rollout/receipt.ts'
import { toReceiptSnapshot } from '../operate/rollout/receipt-snapshot.ts'
import { type RunbookVariables, readRunbookVariables } from '../operate/rollout/runbook-variables.ts'
import { shown } from '../printable.ts'
import { renderText } from '../report/text.ts'
import { type CommandIo, type OptionValues, printError, single } from './command.ts'
import { confirmSteps } from './confirmation.ts'
import { saveReceipt } from './save-receipt.ts'

/** The options of every command that writes. */
export const writeOptions = {
  stack: { type: 'string' },
  'dry-run': { type: 'boolean' },
  yes: { type: 'boolean', short: 'y' },
  receipt: { type: 'string' },
} as const satisfies ParseArgsOptionsConfig

/** The part of the help that these commands share. */
export const writeHelp = `How do I confirm, or try it first?
  The command prints its steps and asks for confirmation before it changes anything.
  --yes             do not ask. Required in a non-interactive shell
  --dry-run         print the steps and change nothing. DRY_RUN=1 is equivalent
  --receipt FILE    write a JSON record of the request, the steps and the results, also after a failure. RECEIPT_PATH
                    is equivalent

What are the exit codes?
  0  done, and in sync
  1  refused, interrupted, or the result is unknown; the message lists the changes made so far
  2  a step failed, or the final check found drift
  3  done, but a check is still pending
`

/** A command that writes to one stack, ready to start. */
export interface WriteRequest {
  readonly command: 'migrate' | 'deploy'
  readonly config: Config
  readonly environment: Environment
  readonly stack: Stack
  readonly runbook: RunbookVariables
  readonly dryRun: boolean
  readonly yes: boolean
  readonly receipt: string | null
}

/** Reads options, configuration and runbook variables, and discovers stacks. Rejects with a DriftwatchError if invalid. */
export async function readWriteRequest(
  command: 'migrate' | 'deploy',
  values: OptionValues,
  io: CommandIo,
): Promise<WriteRequest> {
  const environment = readEnvironment(io.variables)
  const loaded = loadConfig({ file: single(values, 'config') ?? environment.configFile, environment })
  const { config, select } = await discoverOnce(loaded, { environment, clock: io.clock })
  const stack = select(command, single(values, 'stack'))
  const runbook = readRunbookVariables(environment.variables, stack)
  const receipt = single(values, 'receipt') ?? runbook.receipt
  if (receipt !== null) assertWritable(receipt)
  return {
    command,
    config: { ...config, stacks: [stack] },
    environment,
    stack,
    runbook,
    dryRun: values['dry-run'] === true || runbook.dryRun,
    yes: values.yes === true,
    receipt,
  }
}

const interruptNotice =
  'interrupting: waiting for the current Cloud Run request; press Ctrl-C again to exit immediately'

/** Runs the command, prints the outcome, and writes the receipt even if the command failed. */
export async function runWriteCommand(
  request: WriteRequest,
  io: CommandIo,
  asked: Pick<Receipt['asked'], 'image' | 'noTraffic'>,
  command: (operation: Operation) => Promise<number>,
): Promise<number> {
  const { config, environment, stack, dryRun, yes, runbook } = request
  const print = (line: string) => io.stderr.write(`${shown(line)}\n`)
  io.signal.addEventListener('abort', () => print(interruptNotice), { once: true })
  const roles = checkKinds.filter((kind: string): kind is CheckKind => kind === 'role-grants')
  const started = operate(
    {
      config,
      environment,
      stack,
      clock: io.clock,
      signal: io.signal,
      writesReceipt: request.receipt !== null,
      skipChecks: runbook.verifiesRoles ? [] : roles,
      dryRun,
      print,
      confirm: steps => confirmSteps(steps, { io, title: titleOf(request), dryRun, yes }),
    },
    command,
  )
  const finish = (ended: Ended): number => {
    const code = printOutcome(ended, environment, io)
    return request.receipt === null
      ? code
      : saveReceipt(request.receipt, receiptOf(request, asked, ended), code, io.stderr)
  }
  const finishNow = () => finish(started.endNow())
  io.immediate?.addEventListener('abort', finishNow, { once: true })
  const ended = await started.ended
  io.immediate?.removeEventListener('abort', finishNow)
  return finish(ended)
}

/** Names the stack and its place, so that a mistake is visible before anything is written. */
function titleOf({ command, stack: { name, project, region } }: WriteRequest): string {
  return `driftwatch ${command}: stack ${name}, project ${project}, region ${region}`
}

function receiptOf(request: WriteRequest, asked: Pick<Receipt['asked'], 'image' | 'noTraffic'>, ended: Ended): Receipt {
  const { stack, command, dryRun } = request
  const { steps, before, after, reportBefore, reportAfter } = ended.log
  return buildReceipt({
    command,
    dryRun,
    exitCode: ended.exitCode,
    startedAt: ended.startedAt,
    endedAt: ended.endedAt,
    asked: { stacks: [stack.name], checks: null, ...asked },
    error: ended.error,
    steps,
    changeStatus: ended.changeStatus,
    stacks: [
      {
        name: stack.name,
        before: before && toReceiptSnapshot(stack, before),
        after: after && toReceiptSnapshot(stack, after),
      },
    ],
    report: { before: reportBefore, after: reportAfter },
  })
}

function printOutcome({ log, error, exitCode }: Ended, { noColor }: Environment, io: CommandIo): number {
  if (log.reportAfter) io.stdout.write(renderText(log.reportAfter, { color: io.stdout.isTTY === true && !noColor }))
  if (error) printError(io, error)
  return exitCode
}
